"""Theme, language and size of the modal, and data that could be markup."""

import base64
from typing import Any

from browser import ESCAPE
from deployed import Environment, NewEnvironment
from modal import LANGUAGES, Site, User, form_field
from waiting import wait


def attack(name: str) -> str:
    """Returns a text that runs a script if it becomes markup, style or a URL."""
    return f"</style></script><img src=x onerror=window.hacked=1><svg/onload=alert(1)> javascript:alert(1);{name}\"'`"


# Images are icons, and neither elements nor attributes come from data.
UNTOUCHED = """return window.hacked === undefined && document.scripts.length === 1 && document.styleSheets.length === 1
  && [...document.images].every(({ src }) => src.startsWith("data:image/svg+xml;base64,"))
  && document.querySelectorAll("svg, a, iframe, object, base").length === 0
  && ![...document.querySelectorAll("*")].some((element) => element.getAttributeNames().some((name) => /^on|^style$/.test(name)))"""


def test_data_is_never_markup(site: Site, new_environment: NewEnvironment) -> None:
    # Functions keep the catalogue of an environment for ten seconds.
    environment = new_environment()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="parent.hacked=1"><script>parent.hacked=1</script></svg>'
    # Pointers of the API are cut off after 128 characters.
    kind, option = "<img src=x onerror=window.hacked=1>/~", attack("value")
    content = {
        "name": attack("name"),
        "description": attack("description"),
        "icon": "data:image/svg+xml;base64," + base64.b64encode(svg).decode(),
        "credentialTypes": [
            {
                "type": kind,
                "name": attack("account"),
                "fields": [form_field("key", attack("label"), help=attack("help"), placeholder=attack("hint"))],
            }
        ],
        "settings": [
            form_field("region", attack("setting"), "select", options=[{"value": option, "label": attack("option")}]),
            form_field("agreed", attack("agreed"), "boolean", help=attack("agreed help")),
        ],
        "workflows": [
            {"key": "main", "name": attack("workflow"), "description": attack("about")},
            {"key": "more", "name": attack("more")},
        ],
        "hints": [{"match": "known", "text": attack("explained"), "action": "reconnect"}],
    }
    environment.call("PUT", "/integrations/bad", content, 201)
    user = site.new_user(environment)
    user.call("PATCH", "", {"fullName": attack("user")})
    user.call("POST", "/credentials", {"type": kind, "name": attack("main"), "data": {"key": "1"}}, 201)
    site.host.token = lambda: user.token(origins=[site.host.origin])
    prefill = {"settings": {"region": option}, "credentials": {kind: {"key": attack("prefilled")}}}
    texts = {"install": attack("install"), "loading": attack("loading"), "unknown": attack("unknown")}
    names = [
        "name",
        "description",
        "account",
        "label",
        "help",
        "setting",
        "option",
        "agreed",
        "workflow",
        "about",
        "more",
    ]

    def see(*shown: str) -> None:
        site.see(*(attack(name) for name in shown))
        assert site.browser.run(UNTOUCHED)

    site.show(integrationId="bad", prefill=prefill, texts=texts, view=None)
    site.choose("Account to use", "Connect another account")
    see(*names, "main", "install")
    assert [site.value(attack(label)) for label in ("label", "setting")] == [attack("prefilled"), option]
    site.click(attack("install"), "is installed")
    see("name")
    installed = user.installation("bad")
    assert installed["settings"] == {"region": option, "agreed": False}
    user.fail(installed, attack("raw"), "known " + attack("error"), block=attack("block"))
    user.break_account(installed, attack("reason"), kind)
    site.click("Manage", "What went wrong")
    see("name", "account", "reason", "setting", "workflow", "raw", "explained")
    site.find("for (const details of document.querySelectorAll('details')) details.open = true")
    see("block", "error", "raw")
    site.click("Uninstall", "Uninstall")
    see("name")
    site.click("Cancel")
    site.click("Reconnect")
    see("account", "reason", "label", "help")
    site.run("modal.close()")
    site.show("What went wrong", view="errors")
    see("explained", "raw", "workflow")
    site.click("Back")
    see("name", "description")
    site.run("modal.close()")
    site.show("Diese Integration", integrationId=attack("id"), lang="de")
    assert site.browser.run(UNTOUCHED)


# Number of the texts from right to left, and those whose full stop is not at their left end.
MISPLACED = """const place = (node, at) => {
  const range = document.createRange();
  range.setStart(node, at);
  range.setEnd(node, at + 1);
  return range.getBoundingClientRect().left;
};
const texts = document.createTreeWalker(document.getElementById("app"), NodeFilter.SHOW_TEXT);
const found = [];
while (texts.nextNode()) {
  const { currentNode: node } = texts;
  if (!node.data.endsWith(".") || !/^[\u05d0-\u05ea]/.test(node.data)) continue;
  found.push([node.parentElement.outerHTML, place(node, node.length - 1) < place(node, 0)]);
}
return [found.length, found.filter(([, isLeft]) => !isLeft).map(([html]) => html)];"""


def test_right_to_left_texts_have_their_direction(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    hebrew = "\u05e9\u05dc\u05d5\u05dd."
    fields = [
        form_field("first", hebrew, help=hebrew, required=True),
        form_field("agreed", hebrew, "boolean", help=hebrew),
    ]
    content = {
        "name": hebrew,
        "description": hebrew,
        "credentialTypes": [{"type": "shop", "name": hebrew, "fields": fields}],
        "settings": [form_field("note", hebrew)],
        "workflows": [{"key": "main", "name": hebrew, "description": hebrew}],
        "hints": [{"match": "known", "text": hebrew}],
    }
    environment.call("PUT", "/integrations/shop", content, 201)
    user = site.sign_in(site.new_user(environment))
    site.show(hebrew)
    assert site.browser.run(MISPLACED) == [2, []]
    site.click(hebrew, "Install")
    # The title stays next to the icon.
    gap = "const title = document.createRange(); title.selectNodeContents(document.querySelector('h1')); return title.getBoundingClientRect().left - document.querySelector('header .icon').getBoundingClientRect().right"
    assert 0 < site.browser.run(gap) < 40
    number, misplaced = site.browser.run(MISPLACED)
    assert (number >= 8, misplaced) == (True, [])
    assert (
        site.browser.run("return [...document.querySelectorAll('input[type=text]')].map(({ dir }) => dir)")
        == ["auto"] * 2
    )
    installed = user.install("shop", credentials={"shop": {"data": {"first": "1"}}}, settings={"note": hebrew})
    user.fail(installed, "known")
    site.click("Back", hebrew)
    site.click(hebrew, "What went wrong", "1 time")
    number, misplaced = site.browser.run(MISPLACED)
    assert (number >= 8, misplaced) == (True, [])
    # A name does not change the order of the text around it.
    left = """const [name, count] = ["bdi", "time"].map((selector) => document.querySelector(`.errors ${selector}`));
      return name.getBoundingClientRect().right <= count.getBoundingClientRect().left"""
    assert site.browser.run(left)


def test_theme_is_checked_and_applied(site: Site, user: User) -> None:
    site.show("Install", integrationId="chat")
    bad: tuple[Any, ...] = (
        "#0b5cad;}*{display:none",
        "red",
        "var(--text)",
        "url(https://acme.example)",
        "#0b5cad ",
        2.5,
        None,
        {},
    )
    palettes: list[Any] = [{name: value} for value in bad for name in ("accent", "radius", str(value))]
    palettes += [{"font": value} for value in ("a;}*{display:none", "url(x)", "", 1, 'a"', "a" * 101)]
    palettes += [{"radius": 25}, {"radius": -1}, None, []]
    # The contrast of a palette is checked with the defaults of its absent colors.
    palettes += [{"text": "#777777", "radius": 3}, {"background": "#000000"}]
    light = {"surface": "#777777", "accent": "#eeeeee", "mutedText": "#999999", "danger": "#ff9999"}
    palettes += [{name: color} for name, color in light.items()]
    themes = [*({"light": palette} for palette in palettes), "blue", "", 0, False, ["dark"], {"print": {}}]
    site.browser.log()
    site.run("for (const theme of arguments[0]) modal.setTheme(theme)", themes)
    site.run("modal.setTheme({ light: { text: '#333333', radius: 4, font: 'Georgia, serif', accent: '#005500' } })")
    site.browser.wait("return document.documentElement.style.getPropertyValue('--radius') === '4px'")
    script = "const style = getComputedStyle(arguments[0]); return [style.borderRadius, style.fontFamily, style.backgroundColor]"
    install = site.find("return buttonOf('Install')")
    assert site.browser.run(script, install) == ["4px", "Georgia, serif", "rgb(0, 85, 0)"]
    assert site.browser.run("return getComputedStyle(document.body).color") == "rgb(51, 51, 51)"
    warnings = [line for line in site.browser.log() if "the theme is ignored" in line]
    assert len(warnings) == len(themes)
    assert any("contrast of text on background" in line for line in warnings)
    site.run("modal.setTheme('dark')")
    site.browser.wait("return getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 26)'")
    assert site.browser.run("return document.documentElement.getAttribute('style')") == ""
    assert site.browser.run(script, install)[0] == "8px"


def test_environment_gives_theme_and_language(site: Site, other_environment: Environment) -> None:
    site.sign_in(site.new_user(other_environment))
    light = {"accent": "#224466", "radius": 2}
    other_environment.call("PATCH", "/environment", {"modal": {"lang": "de", "theme": {"light": light}}})
    site.show("Diese Integration ist nicht verfügbar.", integrationId="none")  # typos:ignore
    accent = "return document.documentElement.style.getPropertyValue('--accent')"
    assert site.browser.run(accent) == "#224466"
    assert site.browser.run("return document.documentElement.lang") == "de"
    site.run("modal.setTheme({ light: { accent: '#005500' } })")
    site.browser.wait(f"{accent} === '#005500'")
    # The theme of the host replaces that of the environment, and applies until it is taken back.
    assert site.browser.run("return document.documentElement.style.getPropertyValue('--radius')") == ""
    site.run("modal.setTheme(null)")
    site.browser.wait(f"{accent} === '#224466'")
    site.run("modal.close()")
    site.show("This integration is not available.", integrationId="none", lang="en", theme="light")
    assert site.browser.run(accent) == ""
    site.run("modal.close()")
    # Without a language of the environment, that of the browser applies.
    other_environment.call("PATCH", "/environment", {"modal": {"lang": None, "theme": None}})
    site.show("This integration is not available.", integrationId="none")
    assert site.browser.run("return document.documentElement.lang") == "en"


def test_language_and_texts_of_the_host(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "one", "two words", "two words")
    site.show("Integrationen", "Installiert", "3 Fehler", lang="de")
    site.click("Fehler anzeigen", "2 Mal", "1 Mal", "Zuletzt")
    site.click("Zurück", "Installiert")
    site.click("Shop", "Verbunden", "Einstellungen")
    site.run("modal.close()")
    texts = {
        "save": "Keep it",
        "status.active": "Running",
        "errorCount.other": "{count} problems",
        "nope": "x",
        "reconnect": 7,
    }
    site.show("Running", "3 problems", texts=texts)
    site.click("Shop", "Keep it", "Reconnect")
    site.run("modal.close()")
    site.load("/raw")
    token = user.token(origins=[site.host.origin])
    for lang, given in (("xx", {}), ("de-AT", {}), ("EN", None)):
        site.start_raw()
        site.browser.run("connect()")
        site.browser.run(
            "port.postMessage({ type: 'start', token: arguments[0], options: { integrationId: 'chat', lang: arguments[1], texts: arguments[2] } })",
            token,
            lang,
            given,
        )
        site.enter()
        site.see("Installieren" if lang == "de-AT" else "Install")
        assert site.browser.run("return document.documentElement.lang") == ("de" if lang == "de-AT" else "en")


def test_every_language_has_its_texts_and_plurals(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "one", "two words", "two words")
    for lang, (status, _, errors, show, twice, once) in LANGUAGES.items():
        site.show(status, errors, lang=lang)
        assert site.browser.run("return document.documentElement.lang") == lang
        site.click(show, twice, once)
        site.run("modal.close()")


def test_inline_page_is_as_high_as_its_content(site: Site, user: User) -> None:
    site.show("Shop", "Ledger", inline=True)
    assert site.find("return buttonOf('Close') ?? null") is None

    def fits() -> bool:
        height = site.browser.run("return Math.ceil(document.getElementById('app').getBoundingClientRect().height)")
        frame = site.run("return document.querySelector('iframe').getBoundingClientRect().height")
        return frame == height and not site.browser.run("return document.documentElement.scrollHeight > innerHeight")

    wait(fits, "height of the catalogue")
    site.click("Ledger", "Step 1 of 5")
    wait(fits, "height of the form")
    site.fill({"Host": "x"})
    site.browser.press(ESCAPE)
    site.click("Back", "Discard what you entered?")
    site.click("Discard", "Chat")
    site.click("Chat", "Install")
    wait(fits, "height of a short form")
    site.click("Install", "Chat is installed.")
    site.click("Done", "Ledger")
    assert [event["name"] for event in site.events()] == ["ready", "installed"]
    assert site.run("return getComputedStyle(document.body).overflow") == "visible"


def test_dialog_of_an_inline_page_is_in_sight(site: Site, user: User) -> None:
    user.install()
    site.show("Uninstall", integrationId="shop", inline=True)
    site.click("Uninstall", "Uninstall Shop?")
    in_sight = """const { top, bottom } = document.querySelector("dialog").getBoundingClientRect();
      return [top, bottom, innerHeight]"""
    top, bottom, height = site.find(in_sight)
    assert 0 <= top < bottom <= height
    site.click("Uninstall", "Shop is uninstalled.")


def test_switches_are_visible_in_forced_colors(site: Site, user: User) -> None:
    user.install()
    site.show("Orders", integrationId="shop")
    site.browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    try:
        switch = "getComputedStyle(document.querySelector('[role=switch]')"
        assert site.find(f"return [{switch}).appearance, {switch}, '::before').content]") == ["auto", "none"]
    finally:
        site.browser.cdp("Emulation.setEmulatedMedia", features=[])
