import { Injectable, Logger } from '@nestjs/common';
import { DeviceId, OnMessage, Payload } from '@fedecks/nest';
import { IsNumber, Max, Min } from 'class-validator';

class Reading {
  @IsNumber()
  @Min(-50)
  @Max(100)
  celsius!: number;
}

/** What devices send. */
@Injectable()
export class Greenhouse {
  private readonly logger = new Logger(Greenhouse.name);

  /** What it returns is sent to the device. */
  @OnMessage('temperature')
  record(@DeviceId() id: string, @Payload() reading: Reading) {
    this.logger.log(`${id}: ${reading.celsius} degrees`);
    return { event: 'fan', data: { on: reading.celsius > 25 } };
  }
}
