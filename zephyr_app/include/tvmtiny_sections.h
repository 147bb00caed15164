/* Included in front of the models' sources: where Kconfig wants arena and constants. */
#ifndef TVMTINY_SECTIONS_H
#define TVMTINY_SECTIONS_H

#ifdef CONFIG_TVMTINY_ARENA_IN_SECTION
#define TVMTINY_ARENA_SECTION __attribute__((section(CONFIG_TVMTINY_ARENA_SECTION)))
#endif
#ifdef CONFIG_TVMTINY_CONSTANTS_IN_SECTION
#define TVMTINY_CONSTANTS_SECTION __attribute__((section(CONFIG_TVMTINY_CONSTANTS_SECTION)))
#endif

#endif
