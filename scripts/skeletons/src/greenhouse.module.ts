import { FedecksModule } from '@fedecks/nest';
import { Module } from '@nestjs/common';
import { Cellar, Greenhouse, GreenhouseLogin } from './greenhouse.js';

const options = { secrets: [process.env.FEDECKS_SECRET], authenticator: GreenhouseLogin, drainMs: 0 };

@Module({
  imports: [FedecksModule.forRoot(options), FedecksModule.forRoot({ ...options, path: '/cellar' })],
  providers: [Greenhouse, GreenhouseLogin, Cellar],
})
export class GreenhouseModule {}
