import { type IncomingMessage } from 'node:http';
import { Controller, Get, Header, Req, UseGuards } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { RateLimitGuard } from '../operations/rate-limit.guard.js';
import { AccessGuard } from './access.guard.js';
import { Requires } from './requires.decorator.js';

/** What the set-up link opens. The code is behind the `#`, which browsers do not send. */
@Controller('setup')
@UseGuards(RateLimitGuard, AccessGuard)
@ApiExcludeController()
export class SetupController {
  @Get()
  @Requires('anyone')
  @Header('content-type', 'text/plain; charset=utf-8')
  show(@Req() { secure, host = '' }: IncomingMessage & { secure: boolean; host?: string }): string {
    // The host is the visitor's own text: plain, and only what a host may consist of.
    const origin = `${secure ? 'https' : 'http'}://${/^[\w.:[\]-]{1,255}$/.test(host) ? host : 'HOST'}`;
    return `To make the first admin, send what follows # in the set-up link of the log:

curl ${origin}/api/v1/setup -H 'content-type: application/json' \\
  -d '{ "code": "CODE", "name": "NAME", "password": "AT LEAST 12 CHARACTERS" }'

Where there is an operator already, log in: POST ${origin}/api/v1/login { "name", "password" }
`;
  }
}
