"""The playground in a real browser: what is pasted is shortened and shown, and never becomes markup."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from fakes.browser import PATIENCE_MS, View, chromium, needs_chromium, view
from fakes.raw_upstream import RawUpstream
from fakes.serving import PATIENCE_S, Served, served
from fakes.tidy import POLICY, echo

CAREFUL = """
name: careful
deadline_s: 10
rules:
  - name: documents
    when: {segment: context}
    use: {method: frequency, rate: 0.5, min_tokens: 20}
"""
PARAGRAPH = (
    "The mill stood by the river for many years and everybody in the valley knew it well. "
    "It was built in 1764 by Thomas Reed, who had made his money in the wool trade, and it was never sold. "
    "It ground the corn of eleven villages until the great flood carried its wheel away one night. "
)
DOCUMENT = "\n\n".join([PARAGRAPH * 3] * 3)
TAGS = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"

pytestmark = needs_chromium


@asynccontextmanager
async def opened(folder: Path, width: int = 1440) -> AsyncIterator[tuple[Served, View]]:
    """Serve two policies and open the playground."""
    (folder / "default.yaml").write_text(CAREFUL)
    (folder / "tidy.yaml").write_text(POLICY)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(folder)) as running,
        chromium() as browser,
        view(browser, width=width) as open_page,
    ):
        await running.until_ready()
        await open_page.page.goto(f"http://127.0.0.1:{running.port}/elision/playground")
        await expect(open_page.page.locator("#team option")).to_have_count(2, timeout=PATIENCE_MS)
        yield running, open_page
        assert open_page.hosts == {f"127.0.0.1:{running.port}"}
        assert open_page.faults == []


async def tokens(page: View) -> tuple[int, int]:
    """Return what the page says of tokens, before and after, once it is done."""
    await expect(page.page.locator("#working")).to_contain_text("Done", timeout=PATIENCE_MS)
    told = await page.page.locator(".tile .large").first.inner_text()
    before, after = (int(number.replace(",", "")) for number in re.findall(r"[\d,]+", told))
    return before, after


async def slid_to(page: View, percent: int) -> int:
    """Move the slider by the keyboard; return the tokens after, once they are other ones."""
    _, now = await tokens(page)
    slider = page.page.locator("#rate")
    await slider.focus()
    value = int(await slider.input_value())
    for _ in range(abs(value - percent) // 5):
        await page.page.keyboard.press("ArrowLeft" if value > percent else "ArrowRight")
    assert await slider.input_value() == str(percent)
    async with asyncio.timeout(PATIENCE_S):
        while (after := (await tokens(page))[1]) == now:
            await asyncio.sleep(0.02)
    return after


async def test_a_lower_rate_leaves_fewer_words(tmp_path: Path) -> None:
    """Pasted, shortened by the policy, then slid lower and higher; dropped words are struck out."""
    async with opened(tmp_path) as (_, page):
        await page.page.fill("#prompt", f"{DOCUMENT}\n\nWhere did the mill stand?")
        await page.page.keyboard.press("Control+Enter")
        before, by_policy = await tokens(page)
        assert by_policy < 0.7 * before
        text = page.page.locator(".part .text").first
        kept = len(await text.locator("span, mark").all_inner_texts())
        struck = await text.locator("del").first.evaluate("e => getComputedStyle(e).textDecorationLine")
        assert (kept > 0, struck) == (True, "line-through")
        assert "1764" in await text.locator("mark").all_inner_texts()
        assert " ".join((await text.inner_text()).split()) == " ".join(DOCUMENT.split())
        lower = await slid_to(page, 25)
        assert lower < by_policy
        assert await page.page.is_checked("#by-policy") is False
        assert await slid_to(page, 90) > by_policy


async def test_a_chat_body_is_treated_by_the_policy_that_is_chosen(tmp_path: Path) -> None:
    """Its parts are told by what they are for, with the rule that decided."""
    rows = json.dumps([{"id": n, "name": f"row {n}"} for n in range(60)], indent=8)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"{rows}\n\nHow many rows are there?"},
    ]
    async with opened(tmp_path) as (_, page):
        await page.page.fill("#prompt", json.dumps({"model": "gpt-4o", "messages": messages}))
        await page.page.select_option("#team", "tidy")
        await page.page.click("button.main")
        before, after = await tokens(page)
        assert after < before
        kinds = await page.page.locator(".part .kind").all_inner_texts()
        assert kinds == ["instruction", "context", "question"]
        assert "lossless" in await page.page.locator(".part header").nth(1).inner_text()
        await page.page.select_option("#method", "frequency")
        told = page.page.locator(".part header").nth(1)
        await expect(told).to_contain_text("frequency", timeout=PATIENCE_MS)


async def test_markup_in_a_prompt_stays_text(tmp_path: Path) -> None:
    """In texts, names of models, and whatever a reason says."""
    async with opened(tmp_path) as (_, page):
        await page.page.fill("#prompt", f"{DOCUMENT}\n{TAGS}\n\n{DOCUMENT}\n\nWhat is it? {TAGS}")
        await page.page.fill("#model", TAGS[:90])
        await page.page.click("button.main")
        await tokens(page)
        assert await page.page.title() == "Playground · Elision"
        assert await page.page.locator("main script, main img").count() == 0
        shown = "".join(await page.page.locator(".part .text").all_inner_texts())
        assert TAGS in shown


@pytest.mark.parametrize("width", [375, 1440])
async def test_nothing_is_cut_off_and_every_field_has_a_name(tmp_path: Path, width: int) -> None:
    """On a telephone and a wide screen, for eyes and for screen readers."""
    async with opened(tmp_path, width) as (_, page):
        await page.page.click("#example")
        await tokens(page)
        assert not await page.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        for role, name in (
            ("textbox", "Prompt, or the JSON of a request's body"),
            ("combobox", "Policy"),
            ("combobox", "Method"),
            ("textbox", "Model"),
            ("slider", "Keep"),
            ("checkbox", "Rate as the policy says"),
        ):
            await expect(page.page.get_by_role(role, name=re.compile(f"^{name}"))).to_have_count(1)  # type: ignore[arg-type]


async def test_what_is_refused_is_said(tmp_path: Path) -> None:
    """An empty prompt at once; a proxy that went away in a sentence."""
    async with opened(tmp_path) as (running, page):
        await page.page.click("button.main")
        await expect(page.page.locator("#working")).to_have_text("Paste a prompt first.", timeout=PATIENCE_MS)
        await page.page.fill("#prompt", '{"messages": [1]}')
        await page.page.click("button.main")
        await expect(page.page.locator("#said")).to_contain_text("unexpected_shape", timeout=PATIENCE_MS)
        await running.stop()
        await page.page.click("button.main")
        await expect(page.page.locator("#trouble")).to_contain_text("does not answer", timeout=PATIENCE_MS)
        assert any("Failed to load resource" in fault for fault in page.faults)
        page.faults.clear()


async def test_without_policies_the_page_says_so() -> None:
    """And how to have some."""
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url) as running,
        chromium() as browser,
        view(browser) as page,
    ):
        await page.page.goto(f"http://127.0.0.1:{running.port}/elision/playground")
        await expect(page.page.locator("#trouble")).to_contain_text("no policies", timeout=PATIENCE_MS)
        assert await page.page.is_disabled("button.main")
