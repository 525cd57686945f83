// Types of react.js.

import type { CSSProperties, ReactElement } from "react";
import type { EventDetails, Modal, OpenOptions, PageOptions, TokenFunction } from "./tenon.js";

type Handlers = {
  [Name in keyof EventDetails as `on${Capitalize<Name>}`]?: ((detail: EventDetails[Name]) => void) | null | undefined;
};

/**
 * Properties of `TenonModal`. New functions and a new theme apply immediately. A page in place is
 * opened anew if `url`, `integrationId`, `view`, `mode` or `lang` changes; other options apply when
 * the modal opens the next time. `onClose` is called when the user closes the modal, or if a
 * property is invalid.
 */
export interface TenonModalProps extends PageOptions, Handlers {
  /** The modal waits until there is one, and is closed when there is none. */
  token: TokenFunction | null | undefined;
  /** Whether the dialog is open. Set it to false in `onClose`. */
  open?: boolean | undefined;
  /** Shows the page in place, without a dialog. */
  inline?: boolean | undefined;
  /** Class of the element in which the page is shown. */
  className?: string | undefined;
  /** Style of the element in which the page is shown. */
  style?: CSSProperties | undefined;
}

/** Shows the modal, as a dialog or in place. Closes it when unmounted. */
export function TenonModal(props: TenonModalProps): ReactElement | null;

/** Returns a function that opens a dialog. The dialog is closed when the component is unmounted. */
export function useTenonModal(options: OpenOptions): (more?: Partial<OpenOptions>) => Modal;
