/* Status of models whose input is pushed row by row, and of inferences that run in steps. */
#ifndef TVMTINY_PUSH_H
#define TVMTINY_PUSH_H

#define TVMTINY_MORE 1            /* more rows or steps are needed */
#define TVMTINY_DONE 2            /* the inference is complete and the outputs are ready */
#define TVMTINY_ROW 3             /* the next step needs a row of the input */
#define TVMTINY_ERROR_ROWS (-4)   /* more rows than the input still needs; none of them was taken */
#define TVMTINY_ERROR_STEP (-5)   /* no step is left, or a step must run before a row can be taken */

#endif /* TVMTINY_PUSH_H */
