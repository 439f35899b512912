import { type DynamicModule, Module } from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { Database } from '../database/database.js';
import { DatabaseLink } from '../database/database-link.js';
import { DatabaseDeliveryStore } from './database-delivery-store.js';
import { DatabaseRevocations } from './database-revocations.js';

/** The stores of the library, in the database of the app. */
@Module({})
export class StoresModule {
  /**
   * @param keepsRevocations false where the backplane keeps them.
   * @param directory of the copy of the revocations.
   */
  static with(keepsRevocations: boolean, directory: string): DynamicModule {
    const revocations = {
      provide: DatabaseRevocations,
      inject: [Database, DatabaseLink, Fedecks],
      useFactory: (database: Database, link: DatabaseLink, fedecks: Fedecks) =>
        new DatabaseRevocations(database, link, fedecks, directory),
    };
    return {
      module: StoresModule,
      providers: [DatabaseDeliveryStore, ...(keepsRevocations ? [revocations] : [])],
      exports: [DatabaseDeliveryStore],
    };
  }
}
