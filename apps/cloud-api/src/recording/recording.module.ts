import { type DynamicModule, Module } from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { Database } from '../database/database.js';
import { DatabaseLink } from '../database/database-link.js';
import { type DatabaseConfig } from '../database/open-database.js';
import { CloudMetrics } from '../operations/cloud-metrics.js';
import { BatchStore } from './batch-store.js';
import { BatchWriter } from './batch-writer.js';
import { Node } from './node.js';
import { Reconciler } from './reconciler.js';
import { Recorder } from './recorder.js';
import { RecordingMetrics } from './recording-metrics.js';
import { ExcessRemoval, removals } from './removals.js';
import { SentMessages } from './sent-messages.js';
import { summarize, summarizeLate } from './summaries.js';
import { Upkeep } from './upkeep.js';

/** Records what devices do in the database, and keeps that small. */
@Module({})
export class RecordingModule {
  static with({ url }: DatabaseConfig): DynamicModule {
    const jobs = [
      summarize(),
      summarizeLate,
      ...removals(),
      new ExcessRemoval('messages'),
      new ExcessRemoval('connections'),
    ];
    return {
      module: RecordingModule,
      global: true,
      providers: [
        SentMessages,
        {
          provide: Node,
          inject: [Database, DatabaseLink, Fedecks],
          // An embedded database has one process.
          useFactory: (database: Database, link: DatabaseLink, fedecks: Fedecks) =>
            new Node(database, link, fedecks, url === undefined),
        },
        {
          provide: BatchWriter,
          inject: [Database, DatabaseLink, Node, CloudMetrics],
          useFactory: (database: Database, link: DatabaseLink, { id }: Node, metrics: CloudMetrics) =>
            new BatchWriter(new BatchStore(database, link, id), new RecordingMetrics(metrics)),
        },
        {
          provide: Recorder,
          inject: [Fedecks, SentMessages, BatchWriter],
          useFactory: (fedecks: Fedecks, sent: SentMessages, writer: BatchWriter) =>
            new Recorder(fedecks, sent, writer),
        },
        {
          provide: Reconciler,
          inject: [Database, Node, Recorder, BatchWriter],
          useFactory: (database: Database, { id }: Node, recorder: Recorder, writer: BatchWriter) =>
            new Reconciler(database, id, recorder, writer),
        },
        {
          provide: Upkeep,
          inject: [Database, DatabaseLink],
          useFactory: (database: Database, link: DatabaseLink) => new Upkeep(database, link, jobs),
        },
      ],
      exports: [BatchWriter, Node, Recorder, SentMessages, Upkeep],
    };
  }
}
