import { type IncomingMessage, type ServerResponse } from 'node:http';
import { BadRequestException, Body, Get, HttpCode, Ip, Post, Put, Req, Res } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { type Actor } from './actor.js';
import { Audited } from './audited.decorator.js';
import { Authenticator } from './authenticator.js';
import { CurrentActor, type RequestOfActor } from './current-actor.decorator.js';
import { OperatorLogin } from './operator-login.js';
import { canonicalName } from './operator-name.js';
import { Operators } from './operators.js';
import { checkNewPassword } from './password-rule.js';
import { Requires } from './requires.decorator.js';
import { sessionCookie, sessionTokenIn } from './session-cookie.js';
import { ChangePasswordDto, LoginDto, SetupDto } from './session.dto.js';
import { Sessions } from './sessions.js';
import { SetupLinks } from './setup-links.js';
import { V1Controller } from './v1-controller.decorator.js';
import { Validated } from '../http/validated.pipe.js';

/** As Express has it. */
interface CookieRequest extends IncomingMessage, RequestOfActor {
  /** Whether it came by HTTPS, as a trusted proxy says. */
  readonly secure: boolean;
}

/** Operators log in and out, and learn who they are. */
@V1Controller('')
export class SessionController {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly login: OperatorLogin,
    private readonly operators: Operators,
    private readonly sessions: Sessions,
    private readonly setupLinks: SetupLinks,
  ) {}

  /** Sets the cookie of a session: 401 when name or password is wrong, 429 after too many of these. */
  @Post('login')
  @HttpCode(200)
  @Requires('anyone')
  @Audited({ action: 'login', target: 'name', spell: canonicalName })
  @ApiOperation({ summary: 'Log in: sets a cookie for 12 hours' })
  async logIn(
    @Body(Validated) { name, password }: LoginDto,
    @Ip() address: string,
    @Req() request: CookieRequest,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<Actor> {
    const { id, passwordHash } = await this.login.check(name, password, address);
    return this.begin(await this.sessions.begin(id, passwordHash), request, response);
  }

  /** Makes the first admin, and logs in: 403 unless it is the code of a link that may be used. */
  @Post('setup')
  @Requires('anyone')
  @Audited({ action: 'setup', target: 'name', spell: canonicalName })
  @ApiOperation({ summary: 'Make the first admin with the code of the set-up link, and log in' })
  async setUp(
    @Body(Validated) { code, name, password }: SetupDto,
    @Ip() address: string,
    @Req() request: CookieRequest,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<Actor> {
    // Before anything is hashed for a stranger.
    await this.setupLinks.check(code);
    checkNewPassword('password', password, name);
    const hash = await this.login.hash(password, address);
    return this.begin(await this.setupLinks.use(code, name, hash), request, response);
  }

  @Post('logout')
  @HttpCode(204)
  @Requires('viewer')
  @Audited({ action: 'logout' })
  @ApiOperation({ summary: 'End this session' })
  async logOut(
    @Req() request: CookieRequest,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<void> {
    const token = sessionTokenIn(request.headers);
    if (token !== undefined && request.actor?.kind === 'operator') await this.sessions.end(token);
    setCookie(response, sessionCookie(undefined, request.secure));
  }

  /** For a page that does not know yet whether anybody is logged in: never 401. */
  @Get('session')
  @Requires('anyone')
  @ApiOperation({ summary: 'Who makes this request; `actor` is null for nobody' })
  async session(@Req() { headers }: CookieRequest): Promise<{ readonly actor: Omit<Actor, 'id'> | null }> {
    const actor = await this.authenticator.actorOf(headers);
    return { actor: actor ? { kind: actor.kind, name: actor.name, role: actor.role } : null };
  }

  @Get('me')
  @Requires('viewer')
  @ApiOperation({ summary: 'Who makes this request' })
  me(@CurrentActor() { kind, name, role }: Actor): Actor {
    return { kind, name, role };
  }

  /** Ends all sessions of the operator, and begins a new one for this browser. */
  @Put('me/password')
  @HttpCode(204)
  @Requires('viewer')
  @Audited({ action: 'password.change' })
  @ApiOperation({ summary: "Change one's own password: ends all other sessions" })
  async changePassword(
    @Body(Validated) { oldPassword, newPassword }: ChangePasswordDto,
    @Ip() address: string,
    @CurrentActor() { kind, name }: Actor,
    @Req() request: CookieRequest,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<void> {
    if (kind !== 'operator') throw new BadRequestException('An API key has no password: log in.');
    checkNewPassword('newPassword', newPassword, name);
    const { id, passwordHash } = await this.login.check(name, oldPassword, address);
    const newHash = await this.login.hash(newPassword, address);
    await this.operators.setPassword(name, newHash, passwordHash);
    setCookie(response, sessionCookie((await this.sessions.begin(id, newHash)).token, request.secure));
  }

  private begin(
    { actor, token }: { actor: Actor; token: string },
    request: CookieRequest,
    response: ServerResponse,
  ): Actor {
    // For the audit.
    request.actor = actor;
    setCookie(response, sessionCookie(token, request.secure));
    const { kind, name, role } = actor;
    return { kind, name, role };
  }
}

function setCookie(response: ServerResponse, cookie: string): void {
  response.setHeader('set-cookie', cookie);
  response.setHeader('cache-control', 'no-store');
}
