import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { Database } from './database.js';
import { DatabaseLink } from './database-link.js';
import { type DatabaseConfig, openDatabase, placeOf } from './open-database.js';

/** Provides {@link Database} to the whole app. */
@Module({})
export class DatabaseModule {
  static with(config: DatabaseConfig): DynamicModule {
    const logger = new Logger('Database');
    const database = openDatabase(config, ({ message }) => logger.warn(`A connection was lost: ${message}`));
    return {
      module: DatabaseModule,
      global: true,
      providers: [
        { provide: Database, useValue: database },
        { provide: DatabaseLink, useFactory: () => new DatabaseLink(database, placeOf(config)) },
      ],
      exports: [Database, DatabaseLink],
    };
  }
}
