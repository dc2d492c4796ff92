"""Finding the fields of a proxy in an object: usual names, mapped paths, and misspelt ones."""

import pytest

from pharox_redis.importing import FieldMap, ListError
from pharox_redis.importing.fields import FIELDS


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("ip", "host"),
        ("IP Address", "host"),
        ("hostname", "host"),
        ("server", "host"),
        ("proxy_address", "host"),
        ("Port", "port"),
        ("scheme", "protocol"),
        ("type", "protocol"),
        ("userName", "user"),
        ("login", "user"),
        ("pass", "password"),
        ("country_code", "country"),
        ("countryCode", "country"),
        ("Country", "country"),
        ("city_name", "city"),
        ("lat", "latitude"),
        ("lng", "longitude"),
        ("lon", "longitude"),
        ("org", "isp"),
        ("ASN", "asn"),
        ("source", "source"),
        ("max_concurrency", "max_concurrency"),
        ("proxy", "url"),
    ],
)
def test_usual_names(name: str, field: str) -> None:
    assert FieldMap().pick({name: "x"}) == {field: "x"}


def test_the_better_of_two_names_counts_and_blank_ones_do_not() -> None:
    assert FieldMap().pick({"country": "Germany", "country_code": "DE"}) == {"country": "DE"}
    assert FieldMap().pick({"country": "Germany", "country_code": " "}) == {"country": "Germany"}
    assert FieldMap().pick({"isp": None, "org": "Example"}) == {"isp": "Example"}


def test_nested_values_are_not_taken_by_their_usual_name() -> None:
    assert FieldMap().pick({"asn": {"number": 1}, "city": ["a"], "port": 80}) == {"port": 80}


def test_a_list_of_protocols_is_passed_on_to_be_judged() -> None:
    assert FieldMap().pick({"protocols": ["http", "socks5"]}) == {"protocol": ["http", "socks5"]}


def test_a_providers_status_is_not_taken_for_ours_unless_mapped() -> None:
    assert FieldMap().pick({"status": "alive"}) == {}
    assert FieldMap.parse(["status=status"]).pick({"status": "slow"}) == {"status": "slow"}


def test_paths_lead_into_objects_and_arrays() -> None:
    fields = FieldMap.parse(["country=geo.country.iso", "city=geo.cities.1"])
    item = {"geo": {"country": {"iso": "DE"}, "cities": ["Bonn", "Köln"]}}
    assert fields.pick(item) == {"country": "DE", "city": "Köln"}


def test_a_column_with_dots_in_its_name_is_found_before_a_path() -> None:
    fields = FieldMap.parse(["country=geo.country"])
    assert fields.pick({"geo.country": "DE", "geo": {"country": "FR"}}) == {"country": "DE"}


@pytest.mark.parametrize(
    "item",
    [{}, {"geo": None}, {"geo": "x"}, {"geo": {}}, {"geo": []}, {"geo": [{"iso": "DE"}]}],
)
def test_a_path_that_leads_nowhere_is_a_missing_value(item: dict[str, object]) -> None:
    assert FieldMap.parse(["country=geo.iso", "city=geo.7"]).pick(item) == {}


def test_a_mapped_field_is_read_from_nowhere_else() -> None:
    assert FieldMap.parse(["country=where"]).pick({"country": "DE"}) == {}


def test_an_empty_path_takes_a_field_out_of_the_list() -> None:
    fields = FieldMap.parse(["protocol="])
    assert fields.pick({"type": "residential"}) == {}
    assert fields.unused == {}


def test_paths_may_contain_an_equals_sign() -> None:
    assert FieldMap.parse([" city = a=b "]).pick({"a=b": "Bonn"}) == {"city": "Bonn"}


def test_paths_that_found_nothing_are_told() -> None:
    fields = FieldMap.parse(["country=geo.iso", "city=town"])
    assert fields.unused == {"country": "geo.iso", "city": "town"}
    fields.pick({"geo": {"iso": None}, "town": "Bonn"})
    assert fields.unused == {"country": "geo.iso"}


def test_an_unknown_field_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ListError) as caught:
        FieldMap.parse(["contry=geo.iso"])
    assert "'contry'" in str(caught.value)
    assert all(field in str(caught.value) for field in FIELDS)


@pytest.mark.parametrize(
    ("items", "reason"),
    [(["country"], "is not FIELD=PATH"), (["city=a", "city=b"], "mapped twice")],
)
def test_other_mistakes(items: list[str], reason: str) -> None:
    with pytest.raises(ListError, match=reason):
        FieldMap.parse(items)


@pytest.mark.parametrize(
    ("paths", "columns", "known"),
    [
        ([], ["ip", "port"], True),
        ([], ["proxy"], True),
        ([], ["192.0.2.1", "80"], False),
        (["host=where"], ["where", "port"], True),
        (["host=where"], ["ip", "port"], False),
    ],
)
def test_a_header_is_known_by_a_column_for_the_host(
    paths: list[str], columns: list[str], known: bool
) -> None:
    assert FieldMap.parse(paths).knows(columns) is known
