import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { type AuthHeader } from '../../wire/internal.js';
import { type Claims, type DeviceAuthenticator } from '../device.js';
import { FEDECKS_OPTIONS, type ResolvedOptions } from '../fedecks-options.js';
import { providerOf } from '../provider-of.js';
import { Revocations } from '../revocations.js';
import { type Grant, type TokenContent, Tokens } from '../token.js';
import { readPresented, UpgradeRefused, type UpgradeRequest } from './upgrade-request.js';

/** Authenticates an upgrade by its headers, before the websocket exists (PROTOCOL.md §1). */
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
    this.authenticator = providerOf(this.moduleRef, this.options.authenticator, 'authenticator', [
      'authenticate',
    ]);
  }

  /** @throws {UpgradeRefused} when the device may not connect. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<UpgradeRequest>();
    const presented = readPresented(request, this.tokens);
    if (presented.type === 'invalid') throw presented.refused;
    const { remoteAddress = '' } = request;
    const isLogin = presented.type === 'credentials';
    const id = isLogin ? presented.header.deviceId : presented.deviceId;
    const { claims, grant } = isLogin
      ? await this.login(presented.header, request)
      : await this.reconnect(presented.content);
    if (!this.tokens.canBePresented(id, claims)) {
      throw new UpgradeRefused({
        deviceId: id,
        type: 'authentication_failed',
        info: 'the token does not fit into the auth header: shorten the claims',
      });
    }
    request.device = { id, remoteAddress, claims, endpoint: this.options.path };
    request.grant = grant;
    return true;
  }

  private async login(
    { deviceId: id, credentials }: AuthHeader & { ok: true },
    request: UpgradeRequest,
  ): Promise<Admitted> {
    // Read before the credentials are checked, so that a revocation meanwhile applies to this login.
    const grant = { generation: await this.revocations.generationOf(id), expiresAt: 0 };
    const device = {
      id,
      remoteAddress: request.remoteAddress ?? '',
      // Created on demand.
      get signal(): AbortSignal {
        return request.signal ?? new AbortController().signal;
      },
    };
    const result = await this.authenticator?.authenticate(credentials, device);
    if (result === true) return { claims: undefined, grant };
    // null and undefined, as from a lookup without a result, count as false.
    if (!result) throw new UpgradeRefused({ deviceId: id, type: 'authentication_failed', info: '' });
    if (typeof result === 'object' && 'claims' in result) return { claims: result.claims, grant };
    throw new TypeError('authenticate() must return true, false or { claims }, or a promise of one of these');
  }

  private async reconnect({ deviceId, claims, generation, expiresAt }: TokenContent): Promise<Admitted> {
    if (await this.revocations.isRevoked(deviceId, generation))
      throw new UpgradeRefused({ deviceId, type: 'invalid_token', info: 'revoked' });
    return { claims, grant: { generation, expiresAt } };
  }
}

/** The result of a login or a valid token. */
interface Admitted {
  readonly claims: Claims | undefined;
  readonly grant: Grant;
}
