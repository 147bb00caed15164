/* Included before the models' sources: sections for arena and constants, as configured by Kconfig.
 */
#ifndef TVMTINY_SECTIONS_H
#define TVMTINY_SECTIONS_H

#ifdef CONFIG_TVMTINY_ARENA_IN_SECTION
#define TVMTINY_ARENA_SECTION __attribute__((section(CONFIG_TVMTINY_ARENA_SECTION)))
#endif
#ifdef CONFIG_TVMTINY_CONSTANTS_IN_SECTION
#define TVMTINY_CONSTANTS_SECTION __attribute__((section(CONFIG_TVMTINY_CONSTANTS_SECTION)))
#endif

#endif
