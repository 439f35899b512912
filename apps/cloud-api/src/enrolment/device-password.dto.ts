import { ApiProperty } from '@nestjs/swagger';
import { IsString, Length, ValidateIf } from 'class-validator';

/** The new password of a device. */
export class DevicePasswordDto {
  @ApiProperty({
    type: String,
    nullable: true,
    minLength: 12,
    maxLength: 128,
    description: 'Null removes it: the device keeps its tokens.',
  })
  @ValidateIf(({ password }: DevicePasswordDto) => password !== null)
  @IsString()
  @Length(12, 128)
  readonly password!: string | null;
}
