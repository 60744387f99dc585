mod cancelled_reads;
mod cases;
mod matrix;
mod model;
