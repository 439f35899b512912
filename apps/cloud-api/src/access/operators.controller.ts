import { Body, ConflictException, Delete, Get, HttpCode, Ip, Param, Post, Put, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor } from './actor.js';
import { Audited } from './audited.decorator.js';
import { CurrentActor } from './current-actor.decorator.js';
import { OperatorLogin } from './operator-login.js';
import { canonicalName, NamePipe } from './operator-name.js';
import { NewOperatorDto, PasswordDto, RoleDto } from './operators.dto.js';
import { Operators, type ShownOperator } from './operators.js';
import { type Page, pageOf, PageQuery, readCursor } from '../http/page.js';
import { checkNewPassword } from './password-rule.js';
import { Requires } from './requires.decorator.js';
import { V1Controller } from './v1-controller.decorator.js';
import { Validated } from '../http/validated.pipe.js';

/** Admins decide who logs in. */
@V1Controller('operators')
@ApiTags('operators')
export class OperatorsController {
  constructor(
    private readonly operators: Operators,
    private readonly login: OperatorLogin,
  ) {}

  @Get()
  @Requires('admin')
  @ApiOperation({ summary: 'List the operators, by name' })
  async list(@Query(Validated) { limit, cursor }: PageQuery): Promise<Page<ShownOperator>> {
    const after = readCursor<[string]>('operators', cursor, ['string']);
    const items = await this.operators.list(limit + 1, after?.[0]);
    return pageOf(
      items,
      limit,
      'operators',
      ({ name }) => [name],
      (item) => item,
    );
  }

  @Post()
  @Requires('admin')
  @Audited({ action: 'operator.add', target: 'name', spell: canonicalName, fields: ['role'] })
  @ApiOperation({ summary: 'Add an operator: 409 when the name is taken' })
  async add(
    @Body(Validated) { name, role, password }: NewOperatorDto,
    @Ip() address: string,
  ): Promise<ShownOperator> {
    checkNewPassword('password', password, name);
    return this.operators.add(name, role, await this.login.hash(password, address));
  }

  @Put(':name/role')
  @HttpCode(204)
  @Requires('admin')
  @Audited({ action: 'operator.role', target: 'name', spell: canonicalName, fields: ['role'] })
  @ApiOperation({ summary: 'Change the role, and end all sessions of the operator: 409 for the last admin' })
  setRole(@Param('name', NamePipe) name: string, @Body(Validated) { role }: RoleDto): Promise<void> {
    return this.operators.setRole(name, role);
  }

  @Put(':name/password')
  @HttpCode(204)
  @Requires('admin')
  @Audited({ action: 'operator.password', target: 'name', spell: canonicalName })
  @ApiOperation({ summary: 'Set the password of another operator, and end all sessions of that operator' })
  async setPassword(
    @Param('name', NamePipe) name: string,
    @Body(Validated) { password }: PasswordDto,
    @Ip() address: string,
    @CurrentActor() actor: Actor,
  ): Promise<void> {
    if (isSelf(actor, name)) throw new ConflictException('Change your own password at me/password.');
    checkNewPassword('password', password, name);
    await this.operators.setPassword(name, await this.login.hash(password, address));
  }

  @Delete(':name')
  @HttpCode(204)
  @Requires('admin')
  @Audited({ action: 'operator.delete', target: 'name', spell: canonicalName })
  @ApiOperation({ summary: 'Delete another operator: 409 for the last admin' })
  async remove(@Param('name', NamePipe) name: string, @CurrentActor() actor: Actor): Promise<void> {
    if (isSelf(actor, name)) throw new ConflictException('You cannot delete yourself: ask another admin.');
    await this.operators.remove(name);
  }
}

function isSelf(actor: Actor, name: string): boolean {
  return actor.kind === 'operator' && actor.name === name;
}
