import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsIn,
  IsInt,
  IsOptional,
  Max,
  Min,
} from 'class-validator';
import { type ClaimState } from './claims.js';
import { PageQuery } from '../http/page.js';
import { AreTags, MAX_TAGS } from '../http/validation.js';
import { IsDeviceId } from '../http/device-id.js';

/** How many claims one request makes, at most. */
export const MAX_CLAIMS = 500;
const DAY_MS = 86_400_000;
const DEFAULT_EXPIRY_MS = 7 * DAY_MS;
const MIN_EXPIRY_MS = 60_000;
const MAX_EXPIRY_MS = 90 * DAY_MS;
const STATES = ['open', 'used', 'expired'] as const satisfies readonly ClaimState[];

/** Which claims to make: `devices` or `count`, one of them. */
export class CreateClaimsDto {
  @ApiPropertyOptional({
    description: 'A claim for each of these device ids, which no other device can use. Adds the devices.',
    type: [String],
    maxItems: MAX_CLAIMS,
    example: ['greenhouse-1', 'greenhouse-2'],
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MAX_CLAIMS)
  @ArrayUnique()
  @IsDeviceId({ each: true })
  readonly devices?: string[];

  @ApiPropertyOptional({
    description: 'That many claims, each for any device that is not known yet.',
    minimum: 1,
    maximum: MAX_CLAIMS,
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(MAX_CLAIMS)
  readonly count?: number;

  @ApiPropertyOptional({
    description: 'Given to the devices.',
    type: [String],
    maxItems: MAX_TAGS,
    default: [],
  })
  @IsOptional()
  @AreTags()
  readonly tags?: string[];

  @ApiPropertyOptional({
    description: 'For how long the claims can be used, in milliseconds: a minute to 90 days.',
    minimum: MIN_EXPIRY_MS,
    maximum: MAX_EXPIRY_MS,
    default: DEFAULT_EXPIRY_MS,
  })
  @IsOptional()
  @IsInt()
  @Min(MIN_EXPIRY_MS)
  @Max(MAX_EXPIRY_MS)
  readonly expiresInMs: number = DEFAULT_EXPIRY_MS;
}

/** Which claims to list. */
export class ClaimsQuery extends PageQuery {
  @ApiPropertyOptional({ description: 'Only those in this state.', enum: STATES })
  @IsOptional()
  @IsIn(STATES)
  readonly state?: ClaimState;
}

/** A new claim. */
export class NewClaimDto {
  @ApiProperty({ format: 'uuid' })
  readonly id!: string;

  @ApiProperty({ description: 'Shown only here: the app keeps a hash.', example: '7K3M-9QTX-0ABC-WV5N' })
  readonly code!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The only device that can use it; null: any new one.',
  })
  readonly deviceId!: string | null;

  @ApiProperty()
  readonly expiresAt!: Date;
}

/** The claims of one request. */
export class NewClaimsDto {
  @ApiProperty({ type: [NewClaimDto] })
  readonly items!: readonly NewClaimDto[];
}

/** A claim, without its code. */
export class ClaimDto {
  @ApiProperty({ format: 'uuid' })
  readonly id!: string;

  @ApiProperty({ enum: STATES })
  readonly state!: ClaimState;

  @ApiProperty({ type: String, nullable: true })
  readonly deviceId!: string | null;

  @ApiProperty({ type: [String] })
  readonly tags!: readonly string[];

  @ApiProperty()
  readonly createdBy!: string;

  @ApiProperty()
  readonly createdAt!: Date;

  @ApiProperty()
  readonly expiresAt!: Date;

  @ApiProperty({ type: Date, nullable: true })
  readonly usedAt!: Date | null;

  @ApiProperty({ type: String, nullable: true })
  readonly usedBy!: string | null;
}

/** A page of claims, the newest first. */
export class ClaimsDto {
  @ApiProperty({ type: [ClaimDto] })
  readonly items!: readonly ClaimDto[];

  @ApiProperty({ type: String, nullable: true, description: 'The cursor of the next page; null: the last.' })
  readonly next!: string | null;
}
