import { BadRequestException, Body, Delete, Get, Header, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor } from './actor.js';
import { ApiKeys, type ShownApiKey } from './api-keys.js';
import { Audited } from './audited.decorator.js';
import { CurrentActor } from './current-actor.decorator.js';
import { canonicalName, NamePipe } from './operator-name.js';
import { NewApiKeyDto } from './operators.dto.js';
import { type Page, pageOf, PageQuery, readCursor } from '../http/page.js';
import { Requires } from './requires.decorator.js';
import { V1Controller } from './v1-controller.decorator.js';
import { Validated } from '../http/validated.pipe.js';

/** The last year of ISO 8601 with four digits. */
const MAX_YEAR = 9_999;

/** Admins make keys for programs. */
@V1Controller('api-keys')
@ApiTags('api-keys')
export class ApiKeysController {
  constructor(private readonly apiKeys: ApiKeys) {}

  @Get()
  @Requires('admin')
  @ApiOperation({ summary: 'List the API keys, by name' })
  async list(@Query(Validated) { limit, cursor }: PageQuery): Promise<Page<ShownApiKey>> {
    const after = readCursor<[string]>('api-keys', cursor, ['string']);
    const items = await this.apiKeys.list(limit + 1, after?.[0]);
    return pageOf(
      items,
      limit,
      'api-keys',
      ({ name }) => [name],
      (item) => item,
    );
  }

  @Post()
  @Requires('admin')
  @Audited({ action: 'api_key.add', target: 'name', spell: canonicalName, fields: ['role', 'expiresAt'] })
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'Add an API key: only this answer shows it. 409 when the name is taken' })
  add(
    @Body(Validated) { name, role, expiresAt = null }: NewApiKeyDto,
    @CurrentActor() actor: Actor,
  ): Promise<ShownApiKey & { readonly key: string }> {
    if (expiresAt && (expiresAt.getTime() <= Date.now() || expiresAt.getUTCFullYear() > MAX_YEAR)) {
      throw new BadRequestException([`expiresAt must be in the future, and before the year ${MAX_YEAR + 1}`]);
    }
    return this.apiKeys.add({ name, role, expiresAt }, actor.name);
  }

  @Delete(':name')
  @HttpCode(204)
  @Requires('admin')
  @Audited({ action: 'api_key.delete', target: 'name', spell: canonicalName })
  @ApiOperation({ summary: 'Delete an API key: it is refused from now on, by other nodes within 5 s' })
  remove(@Param('name', NamePipe) name: string): Promise<void> {
    return this.apiKeys.remove(name);
  }
}
