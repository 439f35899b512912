import { ApiProperty } from '@nestjs/swagger';
import { ArrayMinSize } from 'class-validator';
import { anyJson } from '../any-json.js';
import { AreTags } from '../../http/validation.js';

/** A message to many devices. */
export class BroadcastDto {
  @ApiProperty({ type: [String], description: 'Devices with all of these tags get it. At least one.' })
  @ArrayMinSize(1)
  @AreTags()
  readonly tags!: string[];

  // Not checked here: `Without` takes it out.
  @ApiProperty(anyJson('The message, as `{ "event": "ping" }`.'))
  readonly message!: unknown;
}

/** What became of a message to many devices. */
export class BroadcastResultDto {
  @ApiProperty({ description: 'How many it was written to.' })
  readonly sent!: number;

  @ApiProperty({ description: 'How many are not connected.' })
  readonly offline!: number;

  @ApiProperty({ description: 'Of how many that is not known: other nodes have not answered.' })
  readonly failed!: number;
}

/** What became of a message. */
export class PushResultDto {
  @ApiProperty({ enum: ['sent', 'offline'] })
  readonly result!: string;
}
