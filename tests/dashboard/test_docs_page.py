"""The page with the API's documentation: whole, from this service alone."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.dashboard.browsing import Dashboard


def test_swagger_ui_shows_the_api(dashboard: Dashboard) -> None:
    page = dashboard.open(at="docs")
    expect(page.get_by_text("/v1/leases/{lease_id}/release")).to_be_visible()
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("X-API-Key").first).to_be_visible()
