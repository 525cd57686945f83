// Types of tenon.global.js.

import type { open } from "./tenon.js";

declare global {
  /** The classic build. */
  var Tenon: { open: typeof open };
}
