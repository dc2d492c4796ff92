"""Who may look: the prompt, where the key is kept, and what happens when it is no longer good."""

from fastapi import FastAPI
from playwright.sync_api import expect

from pharox_redis import RedisStorage
from pharox_redis.service.api_keys import KeyRing, Role
from tests.dashboard.browsing import KEY_ITEM, Dashboard, Opener, add_pool
from tests.service.serving import API_KEYS, KEYS, Service, serving

READ = KEYS[Role.READ]


def test_a_wrong_key_is_refused_and_the_right_one_lets_in(
    dashboard: Dashboard, storage: RedisStorage
) -> None:
    add_pool(storage, "latam")
    page = dashboard.open()
    field = page.get_by_label("Key of this lease service")
    expect(field).to_be_focused()

    refusals = {"nonsense": "does not know", "✓": "cannot be a key", " ": "Enter a key"}
    for wrong, answer in refusals.items():
        field.fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(has_text=answer)).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")
        assert page.evaluate("sessionStorage.length") == 0

    field.fill(f" {READ} ")
    page.keyboard.press("Enter")
    expect(dashboard.pool("latam")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("read read")  # the key's name and its role


def test_the_key_is_in_the_session_of_the_tab_only(
    dashboard: Dashboard, storage: RedisStorage
) -> None:
    page = dashboard.open()
    page.get_by_label("Key of this lease service").fill(READ)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", name="No pools yet")).to_be_visible()

    assert page.evaluate(f"sessionStorage.getItem('{KEY_ITEM}')") == READ
    assert READ not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location")
    assert READ not in page.content()
    assert page.evaluate("[...document.querySelectorAll('input')].every(i => !i.value)")
    assert dashboard.context.cookies() == []
    assert not [request.url for request in dashboard.requests if READ in request.url]

    page.reload()
    expect(page.get_by_role("heading", name="No pools yet")).to_be_visible()
    other = dashboard.context.new_page()
    other.goto(dashboard.url)
    expect(other.get_by_label("Key of this lease service")).to_be_visible()

    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_label("Key of this lease service")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('pharox-redis.key')") is None
    page.reload()
    expect(page.get_by_label("Key of this lease service")).to_be_visible()


def test_a_key_that_is_taken_away_is_asked_for_again(
    opener: Opener, keyed: tuple[Service, FastAPI]
) -> None:
    service, app = keyed
    dashboard = opener(service)
    page = dashboard.open(READ)
    expect(page.get_by_role("heading", name="No pools yet")).to_be_visible()
    app.state.keys = KeyRing([key for key in API_KEYS if key.role is not Role.READ])
    page.clock.run_for(1500)
    expect(page.get_by_role("alert").filter(has_text="no longer knows")).to_be_visible()
    assert page.evaluate(f"sessionStorage.getItem('{KEY_ITEM}')") is None


def test_without_keys_nothing_is_asked(opener: Opener, valkey_url: str) -> None:
    with serving(valkey_url, api_keys=()) as service:
        page = opener(service).open()
        expect(page.get_by_role("heading", name="No pools yet")).to_be_visible()
        expect(page.get_by_role("banner")).to_contain_text("anonymous admin")
        expect(page.get_by_role("button", name="Forget key")).to_be_hidden()


def test_the_policy_is_there_and_the_tests_would_see_it_broken(dashboard: Dashboard) -> None:
    page = dashboard.open()
    reply = dashboard.requests[0].response()
    assert reply is not None
    policy = reply.header_value("content-security-policy") or ""
    assert {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "require-trusted-types-for 'script'",
    } <= set(policy.split("; "))
    assert dashboard.violations() == []
    page.evaluate(
        """() => new Promise((seen) => {
          addEventListener("securitypolicyviolation", () => window.violations.length > 1 && seen());
          document.body.setAttribute("style", "color: red");
          try { document.body.innerHTML = "<p>taken</p>"; } catch { /* as it must */ }
        }).then(() => null)"""
    )
    style, markup = dashboard.violations()
    assert style.startswith("style-src-attr")
    assert markup.startswith("require-trusted-types-for")
    expect(page.get_by_label("Key of this lease service")).to_be_visible()
    page.evaluate("window.violations.length = 0")
    dashboard.wrong.clear()
