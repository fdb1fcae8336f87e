/* SPDX-License-Identifier: BSD-2-Clause */
/* What each command does, in a file of its name. */
#pragma once

#include "command.h"

typedef int command_run(const struct request *request);

command_run check_run;
command_run log_run;
command_run report_run;
command_run stat_run;
command_run status_run;
command_run top_run;
command_run try_run;
