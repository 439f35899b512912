import { type IncomingHttpHeaders } from 'node:http';

/**
 * Whether a page of this host makes a request: browsers send `Sec-Fetch-Site` or `Origin`, which no page can forge.
 * Undefined: neither is there, so it is no browser, or an old one.
 * @param host of the request, with its port.
 */
export function isFromThisHost(headers: IncomingHttpHeaders, host: string | undefined): boolean | undefined {
  const { 'sec-fetch-site': site, origin } = headers;
  if (typeof site === 'string') return site === 'same-origin';
  if (origin === undefined) return undefined;
  // `null` is the origin of a sandboxed page.
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
