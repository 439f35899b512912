import {
  BadRequestException,
  Body,
  Delete,
  Get,
  NotFoundException,
  Param,
  ParseUUIDPipe,
  Post,
  Query,
} from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor } from '../access/actor.js';
import { Audited } from '../access/audited.decorator.js';
import { CurrentActor } from '../access/current-actor.decorator.js';
import { Requires } from '../access/requires.decorator.js';
import { V1Controller } from '../access/v1-controller.decorator.js';
import { pageOf, readCursor } from '../http/page.js';
import { Validated } from '../http/validated.pipe.js';
import { ClaimsDto, ClaimsQuery, CreateClaimsDto, NewClaimsDto } from './claim.dto.js';
import { Claims } from './claims.js';

/** Codes with which devices log in for the first time. */
@ApiTags('claims')
@V1Controller('claims')
export class ClaimsController {
  constructor(private readonly claims: Claims) {}

  @Post()
  @Requires('operator')
  @Audited({ action: 'claim.create', fields: ['devices', 'count', 'tags', 'expiresInMs'] })
  @ApiOperation({ summary: 'Make claims. Their codes are in the answer, and nowhere else.' })
  @ApiCreatedResponse({ type: NewClaimsDto })
  async create(@Body(Validated) order: CreateClaimsDto, @CurrentActor() actor: Actor): Promise<NewClaimsDto> {
    const { devices, count, tags = [], expiresInMs } = order;
    // null, as JSON says "not given", passes for undefined.
    const deviceIds = devices ?? Array<null>(count ?? 0).fill(null);
    if (deviceIds.length === 0) throw new BadRequestException(['devices or count must be given']);
    if (devices && typeof count === 'number')
      throw new BadRequestException(['devices and count must not both be given']);
    return { items: await this.claims.create({ deviceIds, tags, expiresInMs, createdBy: actor.name }) };
  }

  @Get()
  @Requires('viewer')
  @ApiOperation({ summary: 'List the claims, without their codes, the newest first.' })
  @ApiOkResponse({ type: ClaimsDto })
  async list(@Query(Validated) { state, limit, cursor }: ClaimsQuery): Promise<ClaimsDto> {
    const after = readCursor<[number, string]>('claims', cursor, ['number', 'string']);
    const position = after && { createdAt: new Date(after[0]), id: after[1] };
    const claims = await this.claims.list(state, limit + 1, position);
    return pageOf(
      claims,
      limit,
      'claims',
      ({ createdAt, id }) => [createdAt.getTime(), id],
      (claim) => claim,
    );
  }

  @Delete(':id')
  @Requires('operator')
  @Audited({ action: 'claim.delete', target: 'id' })
  @ApiOperation({ summary: 'Delete a claim: nobody can use it any more. A device that has used it stays.' })
  async remove(@Param('id', ParseUUIDPipe) id: string): Promise<{ readonly id: string }> {
    if (!(await this.claims.remove(id))) throw new NotFoundException('The claim does not exist.');
    return { id };
  }
}
