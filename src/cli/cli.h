/* The commands of the program. A new command is a row in main.c and a file here.
 * Exit status: 0 done; 1 the thing asked for is wrong (a bad configuration); 2 the command line is wrong.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

int check_main(int argc, char **argv);
int run_main(int argc, char **argv);

#endif
