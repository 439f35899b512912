/** How much of a lane may be under way: delivered and not yet acknowledged. One message always may. */
export interface Window {
  readonly messages: number;
  readonly bytes: number;
}

/** What a receiver grants at first. */
export const FIRST_GRANT: Window = Object.freeze({ messages: 8, bytes: 16 * 1_024 });
/** What a sender uses at first: with two lanes, about 4 s of a line with 9600 baud. */
export const FIRST_USE: Window = Object.freeze({ messages: 8, bytes: 2 * 1_024 });
/** With eight lanes, a peer has at most 1 MiB under way, and one message for each lane. */
export const MAX_WINDOW: Window = Object.freeze({ messages: 256, bytes: 128 * 1_024 });
const MIN_WINDOW: Window = Object.freeze({ messages: 1, bytes: 1_024 });

/** A window grows while messages take no longer than this. */
export const IN_TIME_MS = 2_000;

/** Grows a window by a message that took no longer than {@link IN_TIME_MS}; shrinks it by one that took longer. */
export function adapt(window: Window, elapsedMs: number, bytes: number): Window {
  const isInTime = elapsedMs <= IN_TIME_MS;
  return isInTime
    ? smallest({ messages: window.messages + 1, bytes: window.bytes + bytes }, MAX_WINDOW)
    : {
        messages: Math.max(window.messages - 1, MIN_WINDOW.messages),
        bytes: Math.max(window.bytes - bytes, MIN_WINDOW.bytes),
      };
}

export function smallest(one: Window, other: Window): Window {
  return { messages: Math.min(one.messages, other.messages), bytes: Math.min(one.bytes, other.bytes) };
}
