/* Status of models whose input is pushed row by row. */
#ifndef TVMTINY_PUSH_H
#define TVMTINY_PUSH_H

#define TVMTINY_MORE 1            /* rows are missing */
#define TVMTINY_DONE 2            /* all rows are there, and the outputs are ready */
#define TVMTINY_ERROR_ROWS (-4)   /* more rows than the input lacks; none of them was taken */

#endif /* TVMTINY_PUSH_H */
