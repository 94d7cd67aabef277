// The flags with which every start of the executable runs.
//
// V8 collects all garbage whenever it considers a program idle; for a waiting bootstrap this takes
// a fifth of its CPU time. The agent collects by itself (host/small-footprint.ts). Unlike most
// flags, these do not invalidate Node.js's own code cache. One compiler thread beside the main
// thread does the work as well as four, and saves a tenth of a megabyte for stacks. Without
// --disable-sigusr1, that signal opens Node's debugger, through which any local user could run code
// as root.
export const executableFlags = ['--no-memory-reducer', '--single-threaded-gc', '--v8-pool-size=1', '--disable-sigusr1'];
