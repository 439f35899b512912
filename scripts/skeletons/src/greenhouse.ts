import {
  type Credentials,
  type DeviceAuthenticator,
  DeviceEndpoint,
  DeviceId,
  OnConnected,
  OnMessage,
  Payload,
} from '@fedecks/nest';
import { type CanActivate, type ExecutionContext, Injectable, UseGuards } from '@nestjs/common';

@Injectable()
export class GreenhouseLogin implements DeviceAuthenticator {
  authenticate({ username, password }: Credentials): boolean {
    return username === 'greenhouse' && password === process.env.GREENHOUSE_PASSWORD;
  }
}

export interface Reading {
  readonly celsius: number;
}

/** An enhancer that Nest has to instantiate. */
@Injectable()
export class OnlyPlausible implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToWs().getData<Reading>().celsius < 100;
  }
}

@Injectable()
@DeviceEndpoint('/fedecks')
export class Greenhouse {
  @OnConnected()
  connected(@DeviceId() id: string) {
    console.log(`${id} is here`);
  }

  @UseGuards(OnlyPlausible)
  @OnMessage('temperature')
  record(@DeviceId() id: string, @Payload() reading: Reading) {
    console.log(`${id}: ${reading.celsius} degrees`);
    return { event: 'fan', data: { on: reading.celsius > 25 } };
  }
}

/** Serves a second endpoint, which Nest 10 would confuse with the first if their modules were identical. */
@Injectable()
@DeviceEndpoint('/cellar')
export class Cellar {
  @OnMessage('temperature')
  record() {
    return 'cellar';
  }
}
