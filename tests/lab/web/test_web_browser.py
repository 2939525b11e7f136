"""The page in Chromium: what people do with it, what assistive technology finds, and that nothing leaves this host."""

import pytest

from descend.lab.web.tabs import NAMES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LAB = "__lab.surfaces"
PATIENCE = 120_000  # milliseconds: a busy machine is no failure


def until(page, true: str) -> None:
    """Wait; Playwright's own `wait_for_function` evaluates text in the page, which its policy forbids."""
    for _ in range(PATIENCE // 25):
        if page.evaluate(true):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {true}")


def settled(page) -> None:
    """Until the paths of what is asked now are there."""
    until(page, f"{LAB}.paths().length === {LAB}.now.rules.length && {LAB}.player.steps === {LAB}.now.steps")
    until(page, f"String({LAB}.map.start) === String({LAB}.now.start)")


def put(page, x: float, y: float) -> None:
    """Click the map at these shares of its width and height."""
    box = page.locator("canvas.map").bounding_box()
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def violations(page, axe: str) -> list:
    """What axe-core finds: rule, help and elements."""
    page.evaluate(axe)
    return page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html)]))")


@pytest.mark.parametrize("name", NAMES)
def test_every_tab_is_usable_by_everybody(pages, axe, picture, name):
    for width, scheme in ((1280, "light"), (360, "dark")):
        page = pages.open(f"#{name}", width=width, color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_timeout(150)
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
        picture(page, f"{name}-{width}-{scheme}")
        assert violations(page, axe) == []
    if name == NAMES[0]:
        page.evaluate("document.body.append(Object.assign(document.createElement('button'), {type: 'button'}))")
        assert [rule for rule, *_ in violations(page, axe)] == ["button-name"]  # it can fail


def test_a_click_drops_the_start_and_all_rules_set_out(pages):
    page = pages.open("#surfaces?story=saddle")
    settled(page)
    put(page, 0.25, 0.25)
    until(page, f"{LAB}.now.start[0] === -1 && {LAB}.paths()[0].points[0] === -1")
    starts = page.evaluate(f"{LAB}.paths().map(p => [p.points[0], p.points[1]].map(v => +v.toFixed(3)))")
    assert len(starts) == 6
    assert {tuple(start) for start in starts} == {(-1.0, 1.1)}
    until(page, f"{LAB}.player.playing")
    first = page.evaluate(f"{LAB}.player.t")
    until(page, f"{LAB}.player.t > {first}")


def test_a_drag_redraws_as_it_goes(surfaces):
    page = surfaces("valley")
    settled(page)
    page.evaluate("__lab.drags.length = 0")
    box = page.locator("canvas.map").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    for k in range(12):
        page.mouse.move(box["x"] + 100 + 12 * k, box["y"] + 100 + 6 * k)
        page.wait_for_timeout(30)
    until(page, "__lab.drags.length >= 1")  # while the button is down
    page.mouse.up()
    until(page, f"!{LAB}.player.playing")
    x, _ = page.evaluate(f"{LAB}.now.start")
    until(page, f"Math.abs({LAB}.paths()[0].points[0] - {x}) < 1e-3")
    assert page.input_value(".fields input >> nth=0") == f"{x:g}"


def test_keys_move_the_start_and_time(surfaces):
    page = surfaces("booth")
    settled(page)
    page.focus("canvas.map")
    page.keyboard.press("ArrowRight")
    until(page, f"{LAB}.now.start[0] === -7.8")
    page.keyboard.press("Shift+ArrowUp")
    until(page, f"{LAB}.now.start[1] === -1")
    settled(page)
    page.keyboard.press(",")
    assert page.evaluate(f"{LAB}.player.t") == 149
    page.keyboard.press("Space")
    until(page, f"{LAB}.player.playing || {LAB}.player.t === 150")
    until(page, "document.getElementById('said').textContent.includes('gradient_descent: ')")


def test_who_takes_hold_of_the_time_keeps_it_when_new_paths_arrive(surfaces):
    page = surfaces("valley")
    settled(page)
    held = []
    page.route("**/surfaces/paths", lambda route: held.append(route))
    page.evaluate(f"globalThis.before = {LAB}.paths()")
    with page.expect_request("**/surfaces/paths"):
        page.click(".pill[value=valley]")
    page.fill(".player .scrub", "30")
    while not held:  # events come while Playwright is asked something
        page.evaluate("0")
    held[0].continue_()
    until(page, f"{LAB}.paths() !== globalThis.before")
    page.unroute("**/surfaces/paths")
    assert page.evaluate(f"[{LAB}.player.t, {LAB}.map.t, {LAB}.chart.t]") == [30, 30, 30]


def test_the_step_is_shared_by_map_and_chart(surfaces):
    page = surfaces("valley")
    settled(page)
    over = page.locator(".u-over")
    over.click(position={"x": over.bounding_box()["width"] / 2, "y": 20})
    until(page, f"{LAB}.player.t === 75")
    assert page.evaluate(f"[{LAB}.map.t, {LAB}.chart.t]") == [75, 75]
    assert page.inner_text(".player .step") == "75 / 150"
    page.fill(".player .scrub", "30")
    assert page.evaluate(f"[{LAB}.player.t, {LAB}.map.t, {LAB}.chart.t]") == [30, 30, 30]


def test_a_rate_explodes_and_leaves_with_a_cross(surfaces, picture):
    page = surfaces("valley")
    settled(page)
    page.evaluate("""() => { const range = document.querySelector('.rule input[type=range]');
        range.value = 0.1; range.dispatchEvent(new Event('input')); }""")
    until(page, f"{LAB}.paths()[0].diverged !== null")
    assert "diverged at step" in page.inner_text(".rule >> nth=0")
    assert page.evaluate(f"{LAB}.paths()[0].lr") == pytest.approx(1.26)
    picture(page, "surfaces-exploded")


def test_a_link_brings_all_of_it_back(surfaces, axe, picture):
    page = surfaces("edge")
    settled(page)
    page.keyboard.press("Tab")
    put(page, 0.3, 0.7)
    page.wait_for_timeout(300)
    page.click(".toggle-rule >> nth=1")
    page.select_option("select:has(option[value='-2'])", "0")
    page.fill(".player .scrub", "42")
    page.wait_for_timeout(400)
    link, state = page.evaluate("__lab.lab.link()"), page.evaluate("__lab.built.get('surfaces').state()")
    assert "a-key-of-the-tests" not in link
    assert (state["t"], state["state"]) == (42, 0)
    again = page.context.new_page()  # the same browser: the door finds the key
    again.goto(link)
    again.wait_for_selector("html[data-ready=surfaces]")
    settled(again)
    assert again.evaluate("__lab.built.get('surfaces').state()") == state
    assert violations(again, axe) == []
    picture(again, "surfaces-link")


def test_without_the_key_the_door_says_what_to_do(browser, address):
    page = browser.new_context().new_page()
    page.goto(address.rsplit("/", 2)[0] + "/#surfaces")
    assert "Open the address that descend lab has printed" in page.inner_text("p")
    page.context.close()


def test_what_is_refused_is_said(pages):
    page = pages.open("#surfaces?story=saddle", reduced_motion="reduce")
    settled(page)
    page.evaluate(f"{LAB}.now.steps = 99999")
    pages.said.clear()
    put(page, 0.5, 0.4)
    until(page, "!document.getElementById('trouble').hidden")
    assert "steps must be a whole number from 1 to 2000" in page.inner_text("#trouble")
    assert len(pages.said) >= 1  # the browser's own line about status 400
    page.wait_for_timeout(100)
    pages.said.clear()


def test_a_race_is_started_stopped_started_again_watched_and_finished(pages, axe, picture):
    page = pages.open("#race?rules=gradient_descent,adam&seconds=60&steps=10")
    page.click("text=Start the race")
    until(page, "document.querySelector('.race .said').textContent.includes('/')")
    page.click(".race button:has-text('Stop')")
    until(page, "document.querySelector('.race .said').textContent.startsWith('stopped')")
    page.click("text=Start the race")
    until(page, "document.querySelector('.race .said').textContent.includes('left')")
    page.wait_for_selector(".race .report table")
    until(page, "document.querySelector('.race .said').textContent.includes('descend race --from')")
    assert page.locator(".report #tables").count() == 1
    assert page.locator(".report #curves svg").count() > 0
    assert violations(page, axe) == []
    picture(page, "race-finished")
    page.click("#tab-runs")
    page.click(".runs a >> nth=0")
    page.wait_for_selector(".runs .report #tables")  # Playwright looks into the tree that it has for itself
    until(page, "location.hash.includes('race=digits-')")
    assert page.inner_text(".runs tbody tr >> nth=0 >> td >> nth=1") == "finished"
    assert violations(page, axe) == []
    picture(page, "runs-report")


def test_a_choice_is_started_seen_on_its_way_stopped_and_finished(pages, axe, picture):
    said = "document.querySelector('.choose .said').textContent"
    page = pages.open("#choose?task=digits&rules=adamw,gradient_descent&spend=600&horizon=20000")
    page.click(".choose button.main")
    until(page, f"{said}.includes('so far') && {said}.includes('left')")
    assert "On its way" in page.inner_text(".choose .report") or "on its way" in page.inner_text(".choose .report")
    page.click(".choose button:has-text('Stop')")
    until(page, f"{said}.startsWith('stopped · ') && {said}.includes('confidence')")
    assert "Interrupted: longer runs were still to come." in page.inner_text(".choose .report")
    page.select_option(".choose select >> nth=0", "quadratic")
    page.fill(".choose input >> nth=0", "10")
    page.select_option(".choose select:has(option[value=runs])", "runs")
    page.fill(".choose input >> nth=1", "64")
    until(page, "location.hash.includes('unit=runs') && location.hash.includes('horizon=64')")
    page.click(".choose button.main")
    until(page, f"{said}.startsWith('chosen · ')")
    assert page.inner_text(".choose .report h1").startswith("quadratic: ")
    assert page.locator(".choose .report svg").count() == 2
    assert page.locator(".choose a[download='choice.json.gz']").count() == 1
    assert violations(page, axe) == []
    picture(page, "choose-finished")
    page.set_viewport_size({"width": 360, "height": 800})
    page.emulate_media(color_scheme="dark")
    root = "document.documentElement"
    until(page, f"{root}.scrollWidth === {root}.clientWidth")
    assert violations(page, axe) == []
    picture(page, "choose-finished-360-dark")


def test_a_range_test_is_started_and_finished(pages, axe, picture):
    page = pages.open("#rate?steps=20&repeats=1&task=digits-logistic")
    page.click("text=Find a rate")
    page.wait_for_selector(".rate .report svg")
    assert "Train Adam at" in page.inner_text(".rate .report h1")
    assert violations(page, axe) == []
    picture(page, "rate-finished")


def test_a_link_restores_a_schedule_and_a_change_is_in_the_link(pages):
    page = pages.open("#schedules?shape=wsd&decay=0.3&steps=500&warmup=50")
    until(page, "document.querySelector('.schedules pre').textContent.includes('.until(300)')")
    page.select_option(".schedules select >> nth=1", "step")
    until(page, "document.querySelector('.schedules pre').textContent.includes('step_decay')")
    until(page, "location.hash.includes('shape=step')")
    assert "decay=" not in page.evaluate("location.hash")


def test_a_relative_is_one_click_away(pages):
    page = pages.open("#explain?rule=adamw&gradient=2&steps=2")
    until(page, "document.querySelectorAll('.explain caption').length === 2")
    page.click(".explain a:text-is('gradient_descent')")
    until(page, "document.querySelector('.explain h2').textContent === 'gradient_descent'")
    assert page.input_value(".explain select") == "gradient_descent"


@pytest.mark.parametrize("rule", ["soap", "clip_norm"])
def test_a_long_formula_and_a_modifier_are_usable_in_a_narrow_window(pages, axe, rule):
    page = pages.open(f"#explain?rule={rule}&steps=2", width=360, reduced_motion="reduce")
    until(page, "document.querySelectorAll('.explain caption').length === 2")
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    assert violations(page, axe) == []
