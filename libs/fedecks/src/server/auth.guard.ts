import { type IncomingMessage } from 'node:http';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { AUTH_HEADER, type AuthHeader, decodeAuthHeader, type Term } from '../wire/index.js';
import { type Claims, type DeviceAuthenticator } from './authenticator.js';
import { type AuthenticatedDevice, type SocketError } from './device.js';
import { FEDECKS_OPTIONS, type ResolvedOptions } from './fedecks-options.js';
import { providerOf } from './provider-of.js';
import { Revocations } from './revocations.js';
import { Tokens } from './token.js';

/** The request of an upgrade, as guards see it. */
export interface UpgradeRequest extends IncomingMessage {
  /** The address of the peer, or of the client a trusted proxy names. */
  remoteAddress?: string;
  /** Who the device says it is, as soon as that is read: not checked yet. */
  deviceId?: string;
  /** Set by {@link FedecksAuthGuard}, and so there for all guards after it. */
  device?: AuthenticatedDevice;
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
    const claims =
      header.token === undefined
        ? await this.login(header, remoteAddress)
        : await this.claimsOf(header.token, id);
    if (!this.tokens.fits(id, claims)) {
      throw refused(
        id,
        'authentication_failed',
        'device id and claims leave no room for a token: make the claims shorter',
      );
    }
    request.device = { id, remoteAddress, claims, endpoint: this.options.path };
    return true;
  }

  private async login(header: AuthHeader & { ok: true }, remoteAddress: string): Promise<Claims | undefined> {
    const { deviceId: id, credentials } = header;
    const result = await this.authenticator?.authenticate(credentials, { id, remoteAddress });
    if (result === true) return undefined;
    // What a lookup that found nothing returns is a no, whatever the types say.
    if (!result) throw refused(id, 'authentication_failed');
    if (typeof result === 'object' && 'claims' in result) return result.claims;
    throw new TypeError('authenticate() must return true, false or { claims }, or a promise of one of these');
  }

  private async claimsOf(token: Term, deviceId: string): Promise<Claims | undefined> {
    const content = typeof token === 'string' ? this.tokens.verify(token) : undefined;
    if (!content) throw refused(deviceId, 'invalid_token');
    if (content.deviceId !== deviceId) {
      throw refused(deviceId, 'invalid_token', `wrong device id in token, '${content.deviceId}'`);
    }
    if (await this.revocations.covers(deviceId, content.issuedAt))
      throw refused(deviceId, 'invalid_token', 'revoked');
    return content.claims;
  }
}

function refused(deviceId: string | null, type: SocketError['type'], info = ''): UpgradeRefused {
  return new UpgradeRefused({ deviceId, type, info });
}
