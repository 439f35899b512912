import { Body, ForbiddenException, HttpCode, Ip, Post } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import { type Term } from '@fedecks/nest/wire';
import { type Actor, mayDo } from '../../access/actor.js';
import { Audited } from '../../access/audited.decorator.js';
import { CurrentActor } from '../../access/current-actor.decorator.js';
import { Requires } from '../../access/requires.decorator.js';
import { V1Controller } from '../../access/v1-controller.decorator.js';
import { Validated } from '../../http/validated.pipe.js';
import { Without } from '../messages/without.pipe.js';
import { BulkActions } from './bulk-actions.js';
import { BulkDto, BulkResultDto } from './bulk.dto.js';

/** The same action for many devices. */
@V1Controller('bulk')
export class BulkController {
  constructor(private readonly actions: BulkActions) {}

  @Post()
  @Requires('operator')
  @Audited({
    action: 'fleet.bulk',
    fields: ['select', 'dryRun', 'action.type', 'action.tag', 'action.event', 'action.key'],
    answerFields: ['bulk', 'selected', 'outcomes'],
  })
  @HttpCode(200)
  @ApiOperation({
    summary: 'Do the same to many devices, at most 10,000',
    description:
      '`delete` needs the role admin. A body has at most 100 KiB: for many devices select by tag or filter.',
  })
  @ApiBody({ type: BulkDto })
  @ApiOkResponse({ type: BulkResultDto })
  async run(
    @CurrentActor() actor: Actor,
    @Ip() address: string,
    @Body(new Without('action', 'payload'), Validated) bulk: BulkDto,
    @Body('action') action: unknown,
  ): Promise<BulkResultDto> {
    if (bulk.action.type === 'delete' && !mayDo(actor.role, 'admin'))
      throw new ForbiddenException(`This needs the role admin: yours is ${actor.role}.`);
    const { payload = null } = action as { readonly payload?: Term };
    return this.actions.run(bulk, payload, { actor, address });
  }
}
