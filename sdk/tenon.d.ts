// Types of tenon.js. docs/modal.md describes options, events and themes.

export type View = "catalogue" | "installation" | "errors";
export type Mode = "read" | "install" | "manage";
type LanguageCode = "en" | "de" | "fr" | "es" | "pt" | "ja";

/** Language of the texts. A region is ignored. */
export type Language = LanguageCode | `${LanguageCode}-${string}`;

/** Returns a user token. The modal calls it when it opens and before the token expires. */
export type TokenFunction = () => string | Promise<string>;

/** Account for which the user asks, of a credential type without fields. */
export interface AccountRequest {
  integrationId: string;
  /** Credential type. */
  type: string;
}

/**
 * Connects an account that your app stores, such as one with OAuth. The page loads its view again
 * when it is done.
 */
export type ConnectFunction = (account: AccountRequest) => unknown;

/** Colors of one scheme as `#rrggbb`. Absent members keep their default. */
export interface Palette {
  accent?: string | undefined;
  onAccent?: string | undefined;
  background?: string | undefined;
  surface?: string | undefined;
  text?: string | undefined;
  mutedText?: string | undefined;
  border?: string | undefined;
  danger?: string | undefined;
  /** Radius of corners in pixels, 0 to 24. */
  radius?: number | undefined;
  /** Font family of the system. */
  font?: string | undefined;
}

export type Theme = "light" | "dark" | "auto" | { light?: Palette | undefined; dark?: Palette | undefined };

type FieldValue = string | number | boolean;

/** Values that the form starts with. */
export interface Prefill {
  settings?: Record<string, FieldValue> | undefined;
  /** Values by credential type. Secret fields are not prefilled. */
  credentials?: Record<string, Record<string, FieldValue>> | undefined;
}

/** Workflow of an installation. */
export interface InstalledWorkflow {
  workflowId: string;
  key: string;
  name: string;
  integrationId: string;
  active: boolean;
}

/** Installation that the user created or changed. */
export interface InstallationDetail {
  integrationId: string;
  /** Ids of the connected credentials by credential type. */
  credentialIds: Record<string, string>;
  workflows: InstalledWorkflow[];
  status: "active" | "inactive" | "needs-attention";
}

/** Workflow that the user activated or deactivated. */
export interface WorkflowDetail {
  integrationId: string;
  workflowId: string;
  key: string;
}

/** Arguments of the events. */
export interface EventDetails {
  /** The first view is shown. */
  ready: Record<string, never>;
  installed: InstallationDetail;
  updated: InstallationDetail;
  activated: WorkflowDetail;
  deactivated: WorkflowDetail;
  uninstalled: { integrationId: string };
  /**
   * The page or a view of it cannot be shown. It says so to the user, who can try again or go back.
   */
  failed: {
    /**
     * `load`: the page or its frame did not load. `session`: there is no valid token. `origin`: the
     * page may not be shown here. `request`: the API cannot be reached or returns an error.
     */
    reason: "load" | "session" | "origin" | "request";
  };
  /** The modal was closed, by the user or by `close()`. */
  close: Record<string, never>;
}

/** Event of a change, with its type. */
export type Change = {
  [Name in Exclude<keyof EventDetails, "ready" | "failed" | "close">]: EventDetails[Name] & { type: Name };
}[Exclude<keyof EventDetails, "ready" | "failed" | "close">];

/** Functions by event. */
export type EventHandlers = {
  [Name in keyof EventDetails]?: ((detail: EventDetails[Name]) => void) | null | undefined;
};

type Optional<Options> = { [Name in keyof Options]?: Options[Name] | null | undefined };

/** Options of the page in the modal. */
export interface PageOptions extends Optional<{
  /** Base URL of the API. Defaults to the API that served the script; required for other copies. */
  url: string;
  /** Integration to show. Without it, the modal shows the catalogue. */
  integrationId: string;
  view: View;
  /** Hides actions that the token would permit. */
  mode: Mode;
  /** Defaults to the theme of the environment. */
  theme: Theme;
  /**
   * A language without texts is ignored. Defaults to the language of the environment, then to that
   * of the browser.
   */
  lang: Language | (string & {});
  /** Texts that replace those of the page, by their key. */
  texts: Record<string, string>;
  prefill: Prefill;
  connect: ConnectFunction;
  /**
   * Origins of the pages around the frame, if the page is itself in a frame. The first is its own.
   */
  origins: string[];
}> {}

/** Options of `open`. */
export interface OpenOptions extends PageOptions {
  token: TokenFunction;
  /** Element that shows the page in place, without a dialog. It must exist. */
  mount?: Element | undefined;
  on?: EventHandlers | null | undefined;
}

/** Open modal. */
export interface Modal {
  /** Closes the modal, also if something was entered. */
  close(): void;
  /**
   * Resolves when the modal is closed, with the last change, or with null if nothing was changed.
   */
  readonly finished: Promise<Change | null>;
  /** Changes the theme. Null selects that of the environment. */
  setTheme(theme: Theme | null | undefined): void;
}

/**
 * Opens the modal.
 *
 * @throws {TypeError} if options are unknown or invalid; the message names them.
 */
export function open(options: OpenOptions): Modal;

/**
 * The element `<tenon-modal>`. Its attributes are `url`, `integration-id`, `view`, `mode`, `theme`,
 * `lang`, `inline` and `open`.
 */
export interface TenonModalElement extends HTMLElement {
  token: TokenFunction | null | undefined;
  connect: PageOptions["connect"];
  theme: Theme | null | undefined;
  texts: PageOptions["texts"];
  prefill: PageOptions["prefill"];
  origins: PageOptions["origins"];
  /** Opens the dialog, or the page in place with the attribute `inline`. */
  show(): void;
  close(): void;
  addEventListener<Name extends keyof EventDetails>(
    type: Name,
    listener: (this: TenonModalElement, event: CustomEvent<EventDetails[Name]>) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<Name extends keyof HTMLElementEventMap>(
    type: Name,
    listener: (this: TenonModalElement, event: HTMLElementEventMap[Name]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Name extends keyof EventDetails>(
    type: Name,
    listener: (this: TenonModalElement, event: CustomEvent<EventDetails[Name]>) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener<Name extends keyof HTMLElementEventMap>(
    type: Name,
    listener: (this: TenonModalElement, event: HTMLElementEventMap[Name]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | EventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "tenon-modal": TenonModalElement;
  }
}
