/**
 * An app with any modules on a free port, and byte-level devices for it: for tests of the library within an app.
 *
 *     const site = await Site.start({ imports: [FedecksModule.forRoot({ ... })], providers: [...] });
 *     const device = await site.open({ deviceId: 'nerves-242a', target: '/custom/websocket' });
 *     await site.close();
 *
 * Use `Cloud` where the app does not matter.
 */
import { type AddressInfo, type Server } from 'node:net';
import {
  type INestApplication,
  Injectable,
  type ModuleMetadata,
  type NestApplicationOptions,
} from '@nestjs/common';
import { type AbstractHttpAdapter } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { type Credentials, type DeviceAuthenticator, Fedecks } from '@fedecks/nest';
import { PASSWORD, type Presented, request } from './cloud.js';
import { type Frame, RawPeer, type Response } from './raw-peer.js';
import { chars, term } from './term-bytes.js';

export const SECRET = 's'.repeat(32);

/** Accepts devices with the password. */
@Injectable()
export class PasswordOnly implements DeviceAuthenticator {
  authenticate(credentials: Credentials): boolean {
    return credentials['password'] === PASSWORD;
  }
}

export interface SiteOptions extends NestApplicationOptions {
  readonly adapter?: AbstractHttpAdapter;
  /** Called between the app's creation and `listen`. */
  readonly prepare?: (app: INestApplication) => void;
  /** The certificate of its `httpsOptions`. */
  readonly ca?: string;
}

export class Site {
  private readonly peers: RawPeer[] = [];

  private constructor(
    readonly app: INestApplication,
    readonly port: number,
    private readonly ca: string | undefined,
  ) {}

  /** Starts the app on 127.0.0.1; its own log is off unless `logger` says otherwise. */
  static async start(
    metadata: ModuleMetadata,
    { adapter, prepare, ca, logger = false, ...options }: SiteOptions = {},
  ): Promise<Site> {
    const module = await Test.createTestingModule(metadata).setLogger(QUIET).compile();
    const app = adapter
      ? module.createNestApplication(adapter, { logger, ...options })
      : module.createNestApplication({ logger, ...options });
    prepare?.(app);
    try {
      await app.listen(0, '127.0.0.1');
    } catch (error) {
      await app.close();
      throw error;
    }
    return new Site(app, ((app.getHttpServer() as Server).address() as AddressInfo).port, ca);
  }

  get fedecks(): Fedecks {
    return this.app.get(Fedecks);
  }

  /** A peer with an open TCP or TLS connection; destroyed when the site is closed. */
  async connect(): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.port, { ca: this.ca });
    this.peers.push(peer);
    return peer;
  }

  /** Requests an upgrade, and returns any response. */
  async ask(presented: Presented = {}): Promise<{ peer: RawPeer; response: Response }> {
    const peer = await this.connect();
    peer.write(request(presented));
    return { peer, response: await peer.response() };
  }

  /** An accepted device that has requested its token, so that its frames are no longer held. */
  async open(presented: Presented = {}): Promise<RawPeer> {
    const { peer, response } = await this.ask(presented);
    expect(response.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
    await tokenOf(peer);
    return peer;
  }

  /** The status line of an upgrade; checks that a rejection has no body. */
  async statusOf(presented: Presented): Promise<string> {
    const { peer, response } = await this.ask(presented);
    peer.destroy();
    return response.statusLine.slice('HTTP/1.1 '.length);
  }

  async close(): Promise<void> {
    for (const peer of this.peers) peer.destroy();
    await this.app.close();
  }
}

const ignored = (): void => undefined;
const QUIET = { log: ignored, error: ignored, warn: ignored };

/** Requests a token and returns it. */
export async function tokenOf(peer: RawPeer): Promise<string> {
  peer.sendBinary(term(chars('token_please')));
  const { payload } = await peer.expectFrame();
  const head = term(Buffer.concat([Buffer.from([0x68, 2]), chars('token'), Buffer.from([0x6d])]));
  expect(payload.subarray(0, head.length)).toEqual(head);
  return payload.toString('latin1', head.length + 4);
}

/** The code of a close frame. */
export function closeCode({ opcode, payload }: Frame): number {
  expect(opcode).toBe(8);
  return payload.readUInt16BE(0);
}
