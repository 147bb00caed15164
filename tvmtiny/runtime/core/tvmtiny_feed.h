/* Status of models that take samples in blocks. */
#ifndef TVMTINY_FEED_H
#define TVMTINY_FEED_H

#define TVMTINY_ERROR_BLOCK (-6) /* more samples than a decision takes; none of them was taken */

#endif /* TVMTINY_FEED_H */
