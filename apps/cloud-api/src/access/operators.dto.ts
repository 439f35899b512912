import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional, IsString, MaxLength } from 'class-validator';
import { type Role, ROLES } from './actor.js';
import { IsTime } from '../http/validation.js';
import { NameField } from './operator-name.js';
import { MAX_PASSWORD_LENGTH } from './password-rule.js';

/** A new password that an admin sets. */
export class PasswordDto {
  @IsString()
  @MaxLength(MAX_PASSWORD_LENGTH)
  @ApiProperty({ description: 'At least 12 characters.' })
  readonly password!: string;
}

/** A new operator. */
export class NewOperatorDto extends PasswordDto {
  @NameField()
  readonly name!: string;

  @IsIn(ROLES)
  @ApiProperty({ enum: ROLES })
  readonly role!: Role;
}

/** What an operator may do from now on. */
export class RoleDto {
  @IsIn(ROLES)
  @ApiProperty({ enum: ROLES })
  readonly role!: Role;
}

/** A new API key. */
export class NewApiKeyDto extends RoleDto {
  @NameField()
  readonly name!: string;

  @IsOptional()
  @IsTime()
  @ApiPropertyOptional({ description: 'In ISO 8601; without it the key does not expire.' })
  readonly expiresAt?: Date | null;
}
