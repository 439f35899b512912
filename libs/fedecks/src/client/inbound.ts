import { decodeTerm, TermDecodeError, tokenIn, type Term } from '../wire/internal.js';
import { tokenHeader } from './auth.js';

/** The classification of a frame from the server; the last three kinds are ignored. */
export type Inbound =
  | { readonly kind: 'message'; readonly message: Term }
  | { readonly kind: 'token'; readonly token: string; readonly header: string }
  | { readonly kind: 'text' | 'undecodable' | 'oversized_token' };

/** PROTOCOL.md §2, "to the device": a token, a message, or nothing that concerns it. */
export function readFrame(
  bytes: Buffer,
  isBinary: boolean,
  { deviceId, maxFrameBytes }: { readonly deviceId: string; readonly maxFrameBytes: number },
): Inbound {
  if (!isBinary) return { kind: 'text' };
  let message: Term;
  try {
    message = decodeTerm(bytes, { maxBytes: maxFrameBytes });
  } catch (error) {
    if (error instanceof TermDecodeError) return { kind: 'undecodable' };
    throw error;
  }
  const token = tokenIn(message);
  if (token === undefined) return { kind: 'message', message };
  const header = tokenHeader(deviceId, token);
  return header === undefined ? { kind: 'oversized_token' } : { kind: 'token', token, header };
}
