// The program `fedecks`, for tests that run it as a process of its own.
import '../../src/cli/main.js';
