// React component and hook of the modal. docs/modal.md describes the options.
"use client";

import { createElement, useCallback, useEffect, useInsertionEffect, useRef } from "react";
import { open } from "./tenon.js";

export { TenonModal, useTenonModal };

// Events by the property that handles them.
const HANDLERS = {
  onReady: "ready",
  onInstalled: "installed",
  onUpdated: "updated",
  onActivated: "activated",
  onDeactivated: "deactivated",
  onUninstalled: "uninstalled",
  onFailed: "failed",
  onClose: "close",
};

const EVENTS = Object.values(HANDLERS);

const isFunction = (value) => typeof value === "function";

// Returns a reference to the value of the last render.
function useLatest(value) {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}

// Shows the modal while `open` or `inline` is set.
function TenonModal({ open: isOpen, inline, className, style, ...given }) {
  // Types admit attributes such as data-testid. They are for the element.
  const [attributes, props] = [true, false].map((isAttribute) =>
    Object.fromEntries(Object.entries(given).filter(([name]) => /^(aria|data)-/.test(name) === isAttribute)),
  );
  const { token, url, integrationId, view, mode, lang, theme } = props;
  const place = useRef(null);
  const modal = useRef(null);
  const latest = useLatest(props);
  // As with the element, a dialog keeps its options, and the page in place waits for a token
  // function and is opened anew.
  const page = Boolean(token) && JSON.stringify([url, integrationId, view, mode, lang]);
  const shown = inline ? page : Boolean(isOpen);

  useEffect(() => {
    if (!shown) return;
    let isCurrent = true;
    // Strict mode runs the effect, its cleanup and the effect again.
    queueMicrotask(() => {
      if (!isCurrent) return;
      try {
        modal.current = show(latest, place.current, () => isCurrent);
      } catch (error) {
        // So that the app does not take it for open.
        latest.current.onClose?.({});
        throw error;
      }
    });
    return () => {
      isCurrent = false;
      modal.current?.close();
      modal.current = null;
    };
  }, [shown, latest]);

  // An object is often a new one in each render.
  const themeText = JSON.stringify(theme);
  useEffect(() => {
    modal.current?.setTheme(latest.current.theme);
  }, [themeText, latest]);

  return inline ? createElement("div", { ...attributes, ref: place, className, style }) : null;
}

// Returns the latest properties. Functions of later renders replace the present ones.
function withLatestFunctions(latest) {
  const { token, connect, on } = latest.current;
  const options = { ...latest.current };
  // The options are checked when the modal opens: those of another type are passed on.
  if (isFunction(token)) options.token = () => latest.current.token();
  if (isFunction(connect)) options.connect = (account) => latest.current.connect?.(account);
  if (on && typeof on === "object") {
    const replaced = EVENTS.filter((name) => on[name] == null || isFunction(on[name]));
    options.on = {
      ...on,
      ...Object.fromEntries(replaced.map((name) => [name, (detail) => latest.current.on?.[name]?.(detail)])),
    };
  }
  return options;
}

// Opens the modal with the latest properties.
function show(latest, mount, isCurrent) {
  const options = { ...withLatestFunctions(latest), mount, on: {} };
  for (const [property, event] of Object.entries(HANDLERS)) {
    delete options[property];
    // The component also closes a modal: only the user's closing is an event.
    options.on[event] = (detail) => {
      if (isCurrent()) latest.current[property]?.(detail);
    };
  }
  return open(options);
}

// Returns a function that opens a dialog with the given options and those of its own call.
function useTenonModal(options) {
  const latest = useLatest(options);
  const modals = useRef(new Set());
  const isUnmounted = useRef(false);
  useEffect(
    () => () => {
      for (const modal of modals.current) modal.close();
    },
    [],
  );
  // Strict mode does not repeat it, and a hot reload does.
  useInsertionEffect(() => {
    isUnmounted.current = false;
    return () => {
      isUnmounted.current = true;
    };
  }, []);
  return useCallback(
    (more) => {
      const modal = open({ ...withLatestFunctions(latest), ...more });
      modals.current.add(modal);
      modal.finished.then(() => modals.current.delete(modal));
      // Called after something that took longer than the component existed.
      if (isUnmounted.current) modal.close();
      return modal;
    },
    [latest],
  );
}
