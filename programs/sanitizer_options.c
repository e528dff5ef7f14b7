/* sanitizer_options.c - only in sanitizer builds: what the sanitizers of our programs do when nobody tells them. hoyd starts its
 * helpers with an empty environment, so that ASAN_OPTIONS never reaches them: their complaints go to standard error, which is
 * the daemon's log, where the journeys look for them. The exit code is one that no program of ours has. */
#define EVERYWHERE "exitcode=86:halt_on_error=1"

__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return EVERYWHERE ":detect_leaks=0"; /* they end by _exit and leave their memory to the kernel */
}

const char *__ubsan_default_options(void)
{
	return EVERYWHERE ":print_stacktrace=1";
}
