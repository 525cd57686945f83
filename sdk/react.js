// React component and hook of the modal. docs/modal.md describes the options.
"use client";

import { createElement, useCallback, useEffect, useInsertionEffect, useRef } from "react";
import { open } from "./tenon.js";

export { TenonModal, useTenonModal };

const EVENTS = ["ready", "installed", "updated", "activated", "deactivated", "uninstalled", "failed", "close"];

// Returns the property that handles an event, such as `onReady`.
const handlerOf = (event) => `on${event[0].toUpperCase()}${event.slice(1)}`;

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
  // As with the element, both wait for a token function, a dialog keeps its options, and the page
  // in place is opened anew.
  const page = JSON.stringify([url, integrationId, view, mode, lang]);
  const shown = Boolean(token) && (inline ? page : Boolean(isOpen));

  useEffect(() => {
    if (!shown) return;
    let isCurrent = true;
    // Strict mode runs the effect, its cleanup and the effect again.
    queueMicrotask(() => {
      if (!isCurrent) return;
      try {
        modal.current = show(latest, place.current ?? undefined, () => isCurrent);
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

// Returns the latest options. Functions of later renders replace the present ones.
function withLatestFunctions(latest) {
  const { token, connect } = latest.current;
  const options = { ...latest.current };
  // The options are checked when the modal opens: those of another type are passed on.
  if (isFunction(token)) options.token = () => latest.current.token();
  if (isFunction(connect)) options.connect = (account) => latest.current.connect?.(account);
  return options;
}

// Opens the modal with the latest properties.
function show(latest, mount, isCurrent) {
  // The component has its own.
  if (latest.current.on != null || latest.current.mount !== undefined)
    throw new TypeError("tenon: use onInstalled and the like instead of on, and inline instead of mount");
  const options = { ...withLatestFunctions(latest), mount, on: {} };
  for (const event of EVENTS) {
    const property = handlerOf(event);
    delete options[property];
    // The component also closes a modal: only the user's closing is an event.
    options.on[event] = (detail) => {
      if (isCurrent()) latest.current[property]?.(detail);
    };
  }
  return open(options);
}

// Returns the functions of the hook by event. Those of later renders replace the present ones.
function latestHandlers(latest) {
  const { on } = latest.current;
  if (!on || typeof on !== "object") return on;
  const replaced = EVENTS.filter((name) => on[name] == null || isFunction(on[name]));
  const handlers = replaced.map((name) => [name, (detail) => latest.current.on?.[name]?.(detail)]);
  return { ...on, ...Object.fromEntries(handlers) };
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
      const modal = open({ ...withLatestFunctions(latest), on: latestHandlers(latest), ...more });
      modals.current.add(modal);
      modal.finished.then(() => modals.current.delete(modal));
      // Called after something that took longer than the component existed.
      if (isUnmounted.current) modal.close();
      return modal;
    },
    [latest],
  );
}
