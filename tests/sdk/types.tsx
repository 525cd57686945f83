// Use of all entries of the package, which must compile, and mistakes, which must not.

import "@tenon/modal/global";
import { open, type Change, type Modal, type OpenOptions, type Theme } from "@tenon/modal";
import Alloy from "@tenon/modal/alloy";
import { TenonModal, useTenonModal, type TenonModalProps } from "@tenon/modal/react";

const token = async () => (await fetch("/my/tenon-token")).text();
const theme: Theme = { light: { accent: "#0b5cad", radius: 4 } };
const options: OpenOptions = {
    url: "https://api.example.com",
    token,
    integrationId: null,
    view: "errors",
    lang: undefined,
    theme,
    prefill: { settings: { region: "eu" }, credentials: { shopify: { shop: "acme" } } },
    connect: async ({ integrationId, type }) => {
        await fetch(`/my/connect/${integrationId.trim()}/${type.trim()}`);
    },
    mount: document.body,
    on: {
        installed: ({ integrationId, workflows: [first] }) => `${integrationId} ${first?.name.trim()}`,
        activated: ({ key }) => key.trim(),
    },
};

export async function openModal(): Promise<string | undefined> {
    const modal: Modal = open(options);
    modal.setTheme("dark");
    window.Tenon.open({ token: () => "token" }).close();
    const change: Change | null = await modal.finished;
    return change?.type === "installed" ? change.status : change?.integrationId;
}

export function useElement(): void {
    const element = document.createElement("tenon-modal");
    element.token = token;
    element.theme = theme;
    element.connect = options.connect;
    element.addEventListener("uninstalled", ({ detail }) => detail.integrationId.trim());
    element.addEventListener("click", (event) => event.clientX.toFixed());
    element.show();
    // @ts-expect-error: the element takes a function
    element.token = "token";
}

export function App(props: Pick<TenonModalProps, "theme">) {
    const openDialog = useTenonModal({ url: "https://api.example.com", token });
    return (
        <>
            <button onClick={() => openDialog({ integrationId: "shopify" })}>Connect</button>
            <TenonModal
                {...props}
                inline
                className="card"
                style={{ border: 0 }}
                token={props.theme ? token : null}
                onUpdated={({ status }) => status.trim()}
            />
            <TenonModal open token={token} connect={({ type }) => type.trim()} onReady={null} onClose={() => {}} />
            {/* @ts-expect-error: the token function is required */}
            <TenonModal open />
            {/* @ts-expect-error: unknown event */}
            <TenonModal token={token} onOpened={() => {}} />
            {/* @ts-expect-error: the component has properties for events */}
            <TenonModal token={token} on={{ installed() {} }} />
            {/* @ts-expect-error: the component has its own element */}
            <TenonModal inline token={token} mount={document.body} />
        </>
    );
}

export function replaceAlloy(): void {
    const alloy = Alloy();
    alloy.setUrl("https://api.example.com");
    alloy.setToken("token");
    alloy.install({ integrationId: "shopify", callback: ({ success }) => success.valueOf() });
    alloy.authenticate({ app: "shopify", callback: ({ credentialId }) => credentialId?.trim() });
    alloy.install({ callback: undefined });
    // Written for the replaced package.
    alloy.authenticate({
        app: "shopify",
        title: "Connect",
        callback: (response: { success: boolean; connectionId: string }) => response,
    });
    new Alloy().edit();
    alloy.getWorkflows().then(({ data }) => data.length);
    alloy.deactivate({ workflowId: "6155ac246093840013297377" });
}

// @ts-expect-error: unknown option
open({ token, integrationID: "shopify" });
open({ token, lang: "it" });
// @ts-expect-error: not a language
open({ token, lang: 7 });
// @ts-expect-error: the token function is required
open({ url: "https://api.example.com" });
// @ts-expect-error: there may be no such element
open({ token, mount: document.querySelector("#place") });
// @ts-expect-error: unknown event
open({ token, on: { opened() {} } });
