/* The image as what the simulated groups replicate (raft_sim.h). */
#ifndef CHRONIK_TESTS_META_IMAGE_MACHINE_H
#define CHRONIK_TESTS_META_IMAGE_MACHINE_H

#include "raft_sim.h"

extern const struct sim_machine sim_image_machine;

#endif
