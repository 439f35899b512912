import { type IncomingHttpHeaders } from 'node:http';
import { parseCookie, stringifySetCookie } from 'cookie';

/** How long, in seconds, an operator stays logged in: 12 h. */
export const SESSION_SECONDS = 12 * 60 * 60;
/** Browsers accept this prefix only with `Secure`, for one host and all paths: no other host of the domain can set it. */
export const SECURE_COOKIE = '__Host-fedecks-session';
export const PLAIN_COOKIE = 'fedecks-session';

/** The session token in the cookie of a request. */
export function sessionTokenIn(headers: IncomingHttpHeaders): string | undefined {
  const cookies = parseCookie(headers.cookie ?? '');
  return cookies[SECURE_COOKIE] ?? cookies[PLAIN_COOKIE];
}

/**
 * The `Set-Cookie` header of a session.
 * @param token undefined: the browser is to forget it.
 * @param isSecure whether the request came by HTTPS.
 */
export function sessionCookie(token: string | undefined, isSecure: boolean): string {
  return stringifySetCookie({
    name: isSecure ? SECURE_COOKIE : PLAIN_COOKIE,
    value: token ?? '',
    maxAge: token === undefined ? 0 : SESSION_SECONDS,
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: isSecure,
  });
}
