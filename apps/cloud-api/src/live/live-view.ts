/** What an operator watches at `/live`, by the query of its URL. */
export type LiveView =
  | { readonly kind: 'all' }
  /** `?fleet`: connects, disconnects and errors of all devices, and rates. No messages. */
  | { readonly kind: 'fleet' }
  /** `?device=ID`: all of one device. */
  | { readonly kind: 'device'; readonly deviceId: string };

/** @param url of the upgrade request. */
export function viewOf(url = '/'): LiveView {
  const given = new URL(url, 'http://live').searchParams;
  const deviceId = given.get('device');
  if (deviceId !== null) return { kind: 'device', deviceId };
  return { kind: given.has('fleet') ? 'fleet' : 'all' };
}
