// Types of alloy.js.

/** Function with one parameter, which may have the type that the replaced package documents. */
type Callback<Response> = { call(response: Response): void }["call"];

/** Parameters of `install`, `edit` and `update`. */
export interface InstallParams {
  /** Integration to show. Without it, the modal shows the catalogue. */
  integrationId?: string | undefined;
  /** Called once: after an installation or a change, or when the user closes the modal. */
  callback?: Callback<{ success: boolean }> | undefined;
  /** Ignored: the page always shows the accounts. */
  alwaysShowAuthentication?: boolean | undefined;
  /** Ignored: the page shows the installation if there is one. */
  operation?: string | undefined;
  /** @deprecated Not supported: pass `integrationId`. */
  workflowIds?: string | string[] | undefined;
  /** @deprecated Not supported. */
  versionIds?: string | string[] | undefined;
  /** @deprecated Not supported. */
  preFilledValues?: unknown[] | undefined;
  /** @deprecated Not supported. */
  outputOverride?: unknown[] | undefined;
  /** @deprecated Not supported: the modal is shown. */
  hide?: boolean | undefined;
  /** @deprecated Not supported. */
  title?: string | undefined;
}

/** Parameters of `authenticate`. */
export interface AuthenticateParams {
  /** Credential type to connect, and the integration if `integrationId` is absent. */
  app?: string | undefined;
  integrationId?: string | undefined;
  /**
   * Called once: after an installation or a change, or when the user closes the modal. There is no
   * `connectionId`.
   */
  callback?: Callback<{ success: boolean; credentialId?: string }> | undefined;
  /** @deprecated Not supported: pass `app` or `integrationId`. */
  category?: string | undefined;
  /** @deprecated Not supported. */
  useUnifiedSettings?: boolean | undefined;
  /** @deprecated Not supported. */
  title?: string | undefined;
}

/** Selection of a workflow. */
export interface WorkflowSelector {
  userId?: string | undefined;
  workflowId?: string | undefined;
  workflowName?: string | undefined;
}

/** Body of a response, also of an error. The replaced package has no types. */
type Body = any;

/** Methods of `alloy-frontend`. They throw an `Error` before `setToken` was called. */
export interface AlloyFrontend {
  /** Sets the URL of your API. Throws a `TypeError` if others could read what is sent to it. */
  setUrl(url: string): void;
  /**
   * Sets the origins of the pages around the modal, from this page to the outermost, if this page
   * is in a frame.
   */
  setOrigins(origins: string[]): void;
  /** Sets the user token of the following calls. */
  setToken(token: string): void;
  /** @deprecated Not supported: call `setUrl`. */
  setRegion(region: string): void;
  install(params: InstallParams): void;
  edit(params?: InstallParams): void;
  update(params?: InstallParams): void;
  authenticate(params: AuthenticateParams): void;
  /** Returns all workflows that the user has installed as `{data}`. */
  getWorkflows(): Promise<Body>;
  /**
   * Returns all integrations that the user can install as `{data}`. Each workflow says whether it
   * is installed.
   */
  getIntegrations(): Promise<Body>;
  deactivate(data: WorkflowSelector): Promise<Body>;
  reactivate(data: WorkflowSelector): Promise<Body>;
}

declare const Alloy: { (): AlloyFrontend; new (): AlloyFrontend };
export default Alloy;
