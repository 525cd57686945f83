"""Accounts in the modal: those of the user, those that the app connects, and their repair."""

from deployed import NewEnvironment
from modal import SHOP, SHOP_ACCOUNT, Site, User, form_field, offer_account_of_the_app
from waiting import wait


def test_account_of_the_user_can_be_used_again(site: Site, user: User) -> None:
    body = {"type": "shop", "name": "Main shop", "data": SHOP_ACCOUNT}
    credential = user.call("POST", "/credentials", body, 201)["credentialId"]
    site.show("Account to use", "Main shop", integrationId="shop")
    site.choose("Region", "Europe")
    site.choose("Account to use", "Connect another account")
    site.click("Install", "Enter a value.")
    site.choose("Account to use", "Main shop")
    assert "Access token" not in site.text()
    site.click("Install", "Shop is installed.")
    assert user.installation()["credentialIds"] == {"shop": credential}
    # Another account can have a name that tells them apart.
    site.click("Manage", "Connected")
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall", "Account to use")
    site.choose("Account to use", "Connect another account")
    site.fill_shop()
    site.fill({"Name of this account": "Second shop"})
    site.click("Install", "Shop is installed.")
    names = {entry["credentialId"]: entry["name"] for entry in user.call("GET", "/credentials")["data"]}
    assert names.pop(credential) == "Main shop"
    assert names == {user.installation()["credentialIds"]["shop"]: "Second shop"}


def test_account_that_the_app_connects_is_chosen_and_never_emptied(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    site.show("Shop account", "Connect this account in the app, and try again here.", integrationId="shop")
    assert not site.find("return buttonOf('Install')")
    first = connect("first")
    site.click("Try again", "Account to use", "first")
    assert "Connect another account" not in site.text()
    site.click("Install", "Shop is installed.")
    assert user.installation()["credentialIds"] == {"shop": first}
    # The account works, and there is no other one.
    site.click("Manage", "Connected")
    assert not site.find("return buttonOf('Reconnect')")
    # The account no longer works, and the app has stored another one.
    user.break_account(user.installation(), "revoked")
    site.load()
    site.show("revoked", integrationId="shop")
    site.click("Reconnect", "Connect this account in the app, and try again here.")
    assert not site.find("return buttonOf('Connect')")
    second = connect("second")
    site.click("Try again", "revoked")
    site.click("Reconnect", "Connect this account in the app, and try again here.", "Account to use", "second")
    site.click("Connect", "Shop account is connected.")
    assert user.installation()["credentialIds"] == {"shop": second}
    for credential, grant in ((first, "first"), (second, "second")):
        assert user.reveal(credential) == {"refreshToken": grant}


def test_app_connects_an_account_on_request(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    site.run("""window.connect = (account) => {
        window.account = account;
        return new Promise((resolve) => Object.assign(window, { end: resolve }));
    }""")
    site.show("Connect this account in the app.", integrationId="shop")
    site.click("Connect Shop account")
    wait(lambda: site.run("return window.account"), "request")
    assert site.run("return window.account") == {"integrationId": "shop", "type": "shop"}
    # The user has closed the other window, and tries again.
    site.run("end(); delete window.account")
    site.click("Connect Shop account", "Connect this account in the app.")
    wait(lambda: site.run("return window.account"), "second request")
    first = connect("first")
    site.run("end()")
    site.see("Account to use", "first")
    site.click("Install", "Shop is installed.")
    # The same if it no longer works.
    user.break_account(user.installation(), "revoked")
    site.click("Manage", "revoked")
    site.click("Reconnect", "Connect this account in the app.")
    site.run("delete window.account")
    site.click("Connect Shop account")
    wait(lambda: site.run("return window.account"), "third request")
    user.call("PUT", f"/credentials/{first}", {"data": {"refreshToken": "new"}})
    site.run("end()")
    site.see("Connected")
    assert "revoked" not in site.text()


def test_account_that_is_connected_late_does_not_change_another_view(
    site: Site, new_environment: NewEnvironment
) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    chat = {"name": "Chat", "workflows": [{"key": "main", "name": "Main work"}]}
    user.environment.call("PUT", "/integrations/chat", chat, 201)
    site.run("window.connect = () => new Promise((resolve) => Object.assign(window, { end: resolve }))")
    site.show("Shop")
    site.click("Shop", "Connect this account in the app.")
    site.click("Connect Shop account")
    wait(lambda: site.run("return window.end !== undefined"), "request")
    site.click("Back", "Integrations")
    site.click("Chat", "Install")
    connect("first")
    site.run("end()")
    site.click("Install", "Chat is installed.")
    site.click("Done")
    site.wait_closed()
    site.show("Account to use", "first", integrationId="shop")


def test_account_that_the_app_replaces_in_place_works_again(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    credential = connect("first")
    site.show("Account to use", "first", integrationId="shop")
    site.click("Install", "Shop is installed.")
    user.break_account(user.installation(), "revoked")
    site.click("Manage", "revoked")
    site.click("Reconnect", "Connect this account in the app, and try again here.")
    user.call("PUT", f"/credentials/{credential}", {"data": {"refreshToken": "new"}})
    site.click("Try again", "Connected")
    assert "revoked" not in site.text()


def test_account_that_was_deleted_meanwhile_is_named(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    credential = connect("first")
    site.show("Account to use", "first", integrationId="shop")
    user.call("DELETE", f"/credentials/{credential}")
    site.click("Install", "Please check the marked fields.")
    assert site.error("Account to use") == "This no longer exists."


def test_reconnect_offers_the_other_accounts(site: Site, user: User) -> None:
    installed = user.install()
    present = installed["credentialIds"]["shop"]
    body = {"type": "shop", "name": "Second shop", "data": SHOP_ACCOUNT}
    second = user.call("POST", "/credentials", body, 201)["credentialId"]
    site.show("Connected", integrationId="shop")
    # The present account is entered again.
    site.click("Reconnect", "Account to use", "Access token")
    account = {"Address": SHOP_ACCOUNT["address"], "Access token": SHOP_ACCOUNT["token"]}
    site.fill({**account, "Name of this account": "First shop"})
    site.click("Reconnect", "is connected again.", "First shop")
    assert user.installation()["credentialIds"] == {"shop": present}
    # Another one is used.
    site.click("Reconnect", "Account to use", "Access token")
    site.choose("Account to use", "Second shop")
    assert "Access token" not in site.text()
    site.click("Reconnect", "is connected again.", "Second shop")
    assert user.installation()["credentialIds"] == {"shop": second}
    assert {entry["name"] for entry in user.call("GET", "/credentials")["data"]} == {"First shop", "Second shop"}


def test_another_account_leaves_the_one_that_other_integrations_use(
    site: Site, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    for integration in ("shop", "second"):
        environment.call("PUT", f"/integrations/{integration}", {**SHOP, "name": f"The {integration}"}, 201)
    user = site.sign_in(site.new_user(environment))
    shared = user.install()["credentialIds"]["shop"]
    user.install("second", credentials={"shop": {"credentialId": shared}}, settings={"region": "eu"})
    site.show("Connected", integrationId="shop")
    site.click("Reconnect", "Other integrations use this account too: The second.")
    site.choose("Account to use", "Connect another account")
    assert "Other integrations" not in site.text()
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_2", "Name of this account": "Other shop"})
    # The request arrives, but not its response.
    site.front.fault("PUT", "drop", times=1)
    site.click("Reconnect", "You seem to be offline")
    site.click("Reconnect", "This was changed in the meantime.", "Other shop")
    assert user.installation()["credentialIds"]["shop"] != shared
    assert user.call("GET", "/installations/second")["credentialIds"] == {"shop": shared}
    assert len(user.call("GET", "/credentials")["data"]) == 2


def test_choice_of_an_account_is_not_lost_without_asking(site: Site, user: User) -> None:
    user.install()
    user.call("POST", "/credentials", {"type": "shop", "name": "Second shop", "data": SHOP_ACCOUNT}, 201)
    site.show("Connected", integrationId="shop")
    site.click("Reconnect", "Account to use")
    site.choose("Account to use", "Second shop")
    site.click("Close", "Discard what you entered?")


def test_account_that_the_app_connects_is_chosen_from_an_install_link(
    site: Site, new_environment: NewEnvironment
) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    connect("first")
    second = connect("second")
    site.browser.go(site.install_link(user, "shop"))
    site.click("Continue", "Account to use")
    site.choose("Account to use", "second")
    site.click("Install", "Shop is installed.", "You can close this page now.")
    assert user.installation()["credentialIds"] == {"shop": second}


def test_account_that_a_new_version_adds_is_not_connected_again(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    environment.call("PUT", "/integrations/shop", SHOP, 201)
    user = site.sign_in(site.new_user(environment))
    user.install()
    crm = {"type": "crm", "name": "CRM account", "fields": [form_field("key", "Key", required=True)]}
    environment.call("PUT", "/integrations/shop", {**SHOP, "credentialTypes": [*SHOP["credentialTypes"], crm]})
    site.show("Connect CRM account.", "Not connected", integrationId="shop")
    site.click("Connect", "Connect CRM account", "Key")
    site.fill({"Key": "key-1"})
    site.click("Connect", "CRM account is connected.", "Connected")
    assert site.find("return buttonOf('Connect') ?? null") is None


def test_data_reaches_only_the_account_that_the_form_showed(site: Site, user: User) -> None:
    first = user.install()["credentialIds"]["shop"]
    account = {"type": "shop", "name": "Second shop", "data": {**SHOP_ACCOUNT, "token": "shpat_second"}}
    second = user.call("POST", "/credentials", account, 201)["credentialId"]
    site.show("Connected", integrationId="shop")
    site.click("Reconnect", "Account to use", "Access token")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_first"})
    # Another setting does not concern it.
    user.call("PUT", "/installations/shop", {"settings": {"batch": 7}})
    site.click("Reconnect", "is connected again.")
    assert user.reveal(first)["token"] == "shpat_first"
    site.click("Reconnect", "Account to use", "Access token")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_other"})
    user.call("PUT", "/installations/shop", {"credentials": {"shop": {"credentialId": second}}})
    site.click("Reconnect", "This was changed in the meantime.", "Second shop")
    assert (user.reveal(first)["token"], user.reveal(second)["token"]) == ("shpat_first", "shpat_second")


def test_integration_that_was_installed_meanwhile_keeps_its_account(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    # The request arrives, but not its response.
    site.front.fault("PUT", "drop", times=1)
    site.click("Install", "You seem to be offline")
    site.fill({"Access token": "shpat_other"})
    site.click("Install", "This was changed in the meantime.", "Uninstall")
    assert user.reveal(user.installation()["credentialIds"]["shop"]) == SHOP_ACCOUNT


def test_errors_of_two_integrations_lead_to_the_account_that_does_not_work(site: Site, user: User) -> None:
    ledger = {
        "erp/main": {"data": {"host": "https://erp.example", "code": "1234"}},
        "mail": {"data": {"password": "secret"}},
    }
    error = "Request failed with status code 401"
    user.fail(user.install("erp", credentials=ledger), error)
    installed = user.install()
    user.fail(installed, error)
    user.break_account(installed, "401 from the shop")
    site.show("The shop no longer accepts the token.", "Invoices · Orders · 2 times", view="errors")
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
