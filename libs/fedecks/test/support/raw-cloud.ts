/** A raw cloud that delivers to our client (PROTOCOL.md §6.4): hand-made bytes on a `PhoenixPeer`. */
import { type PeerConnection, type PhoenixPeer } from './phoenix-peer.js';
import { deliver, type Handled, resume } from './raw-deliveries.js';
import { str, tuple } from './term-bytes.js';

/** Accepts the next connection, with protocol 2 unless other headers are given, and takes what asks for a token. */
export async function acceptDevice(
  cloud: PhoenixPeer,
  headers = 'x-fedecks-protocol: 2\r\n',
): Promise<PeerConnection> {
  const device = await cloud.accept(20_000);
  device.upgrade(undefined, headers);
  await device.frame();
  return device;
}

/** The same, when both sides have sent their resume. */
export async function acceptReceiver(
  cloud: PhoenixPeer,
  handled: readonly Handled[] = [],
): Promise<PeerConnection> {
  const device = await acceptDevice(cloud);
  device.binary(resume());
  await expectBytes(device, resume(handled));
  return device;
}

export async function expectBytes(device: PeerConnection, ...expected: readonly Buffer[]): Promise<void> {
  for (const each of expected) {
    const { payload } = await device.frame();
    expect(payload.toString('latin1')).toBe(each.toString('latin1'));
  }
}

export async function expectClose(device: PeerConnection, code: number): Promise<void> {
  const { opcode, payload } = await device.frame();
  expect([opcode, payload.length >= 2 && payload.readUInt16BE()]).toEqual([8, code]);
}

/** Nothing comes before the answer to a ping. */
export async function expectSilence(device: PeerConnection): Promise<void> {
  device.ping('quiet?');
  expect((await device.frame()).payload.toString()).toBe('quiet?');
}

/** A `deliver` of the event `update`. */
export function update(
  seq: number,
  payload: Uint8Array = str('v2'),
  more: Parameters<typeof deliver>[2] = {},
): Buffer {
  return deliver(seq, tuple(str('update'), payload), more);
}
