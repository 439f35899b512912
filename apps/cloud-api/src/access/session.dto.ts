import { ApiProperty } from '@nestjs/swagger';
import { IsString, MaxLength } from 'class-validator';
import { NameField } from './operator-name.js';
import { MAX_PASSWORD_LENGTH } from './password-rule.js';

/** How an operator logs in. */
export class LoginDto {
  @NameField()
  readonly name!: string;

  @IsString()
  @MaxLength(MAX_PASSWORD_LENGTH)
  @ApiProperty()
  readonly password!: string;
}

/** How the first admin is made. */
export class SetupDto extends LoginDto {
  @IsString()
  @MaxLength(100)
  @ApiProperty({ description: 'What follows # in the set-up link.' })
  readonly code!: string;
}

/** How operators change their own password. */
export class ChangePasswordDto {
  @IsString()
  @MaxLength(MAX_PASSWORD_LENGTH)
  @ApiProperty()
  readonly oldPassword!: string;

  @IsString()
  @MaxLength(MAX_PASSWORD_LENGTH)
  @ApiProperty({ description: 'At least 12 characters.' })
  readonly newPassword!: string;
}
