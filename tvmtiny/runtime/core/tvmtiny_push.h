/* Status of models whose input is pushed row by row, and of inferences that run in steps. */
#ifndef TVMTINY_PUSH_H
#define TVMTINY_PUSH_H

#define TVMTINY_MORE 1            /* rows are missing, or steps */
#define TVMTINY_DONE 2            /* all is done, and the outputs are ready */
#define TVMTINY_ROW 3             /* the next step needs a row of the input */
#define TVMTINY_ERROR_ROWS (-4)   /* more rows than the input lacks; none of them was taken */
#define TVMTINY_ERROR_STEP (-5)   /* there is no step to do, or one is to be done before a row is taken */

#endif /* TVMTINY_PUSH_H */
