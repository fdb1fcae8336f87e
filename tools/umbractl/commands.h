/* SPDX-License-Identifier: BSD-2-Clause */
/* What each command does, in a file of its name. */
#pragma once

#include "command.h"

typedef int command_run(const struct request *request);

command_run status_run;
