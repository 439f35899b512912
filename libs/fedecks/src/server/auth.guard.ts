import { type IncomingMessage } from 'node:http';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { AUTH_HEADER, type AuthHeader, decodeAuthHeader, type Term } from '../wire/index.js';
import { type Claims, type DeviceAuthenticator } from './authenticator.js';
import { type AuthenticatedDevice, type SocketError } from './device.js';
import { FEDECKS_OPTIONS, type ResolvedOptions } from './fedecks-options.js';
import { providerOf } from './provider-of.js';
import { Revocations } from './revocations.js';
import { type Grant, Tokens } from './token.js';

/** The request of an upgrade, as guards see it. */
export interface UpgradeRequest extends IncomingMessage {
  /** The address of the peer, or of the client a trusted proxy names. */
  remoteAddress?: string;
  /** Who the device says it is, as soon as that is read: not checked yet. */
  deviceId?: string;
  /** Set by {@link FedecksAuthGuard}, and so there for all guards after it. */
  device?: AuthenticatedDevice;
  /** @internal Set with {@link device}: what the tokens of the connection carry on. */
  grant?: Grant;
}

/** A device that may not come in, and why. */
export class UpgradeRefused extends Error {
  constructor(readonly report: SocketError) {
    super(report.type);
  }
}

/** Inspects the headers of an upgrade, before the websocket exists (PROTOCOL.md §1). */
@Injectable()
export class FedecksAuthGuard implements CanActivate {
  private authenticator: DeviceAuthenticator | undefined;

  constructor(
    @Inject(FEDECKS_OPTIONS) private readonly options: ResolvedOptions,
    private readonly tokens: Tokens,
    private readonly revocations: Revocations,
    private readonly moduleRef: ModuleRef,
  ) {}

  onModuleInit(): void {
    this.authenticator = providerOf(this.moduleRef, this.options.authenticator, 'authenticator');
  }

  /** @throws {UpgradeRefused} when the device may not come in. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<UpgradeRequest>();
    const value = request.headers[AUTH_HEADER];
    const header = decodeAuthHeader(Array.isArray(value) ? value.join(', ') : value);
    if (!header.ok) throw refused(null, 'invalid_auth_header', header.info);
    const { deviceId: id } = header;
    request.deviceId = id;
    const remoteAddress = request.remoteAddress ?? '';
    const { claims, grant } =
      header.token === undefined
        ? await this.login(header, remoteAddress)
        : await this.reconnect(header.token, id);
    if (!this.tokens.canBePresented(id, claims)) {
      throw refused(
        id,
        'authentication_failed',
        'device id and claims leave no room for a token: make the claims shorter',
      );
    }
    request.device = { id, remoteAddress, claims, endpoint: this.options.path };
    request.grant = grant;
    return true;
  }

  private async login(header: AuthHeader & { ok: true }, remoteAddress: string): Promise<Authenticated> {
    const { deviceId: id, credentials } = header;
    // Before the credentials are checked: a revocation meanwhile is one after this login.
    const grant = { generation: await this.revocations.generationOf(id), expiresAt: 0 };
    const result = await this.authenticator?.authenticate(credentials, { id, remoteAddress });
    if (result === true) return { claims: undefined, grant };
    // What a lookup that found nothing returns is a no, whatever the types say.
    if (!result) throw refused(id, 'authentication_failed');
    if (typeof result === 'object' && 'claims' in result) return { claims: result.claims, grant };
    throw new TypeError('authenticate() must return true, false or { claims }, or a promise of one of these');
  }

  private async reconnect(token: Term, deviceId: string): Promise<Authenticated> {
    const content = typeof token === 'string' ? this.tokens.verify(token) : undefined;
    if (!content) throw refused(deviceId, 'invalid_token');
    if (content.deviceId !== deviceId) {
      throw refused(deviceId, 'invalid_token', `wrong device id in token, '${content.deviceId}'`);
    }
    const { claims, generation, expiresAt } = content;
    if (await this.revocations.isRevoked(deviceId, generation))
      throw refused(deviceId, 'invalid_token', 'revoked');
    return { claims, grant: { generation, expiresAt } };
  }
}

/** What a login or a token says of a device. */
interface Authenticated {
  readonly claims: Claims | undefined;
  readonly grant: Grant;
}

function refused(deviceId: string | null, type: SocketError['type'], info = ''): UpgradeRefused {
  return new UpgradeRefused({ deviceId, type, info });
}
